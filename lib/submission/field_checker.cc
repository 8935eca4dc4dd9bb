#include "lib/submission/field_checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/mime/text.h"
#include "lib/smtp/reply.h"

namespace hikyaku::submission {
namespace {

constexpr std::size_t kMaxDescription = 300;
constexpr std::size_t kMaxLabel = 64;

// Year 1 and year 9999, as google/protobuf/timestamp.proto bounds its seconds.
constexpr std::int64_t kFirstSecond = -62'135'596'800;
constexpr std::int64_t kLastSecond = 253'402'300'799;

}  // namespace

void FieldChecker::Refuse(std::string path, absl::string_view description) {
  // One more than is listed: the reader shall know that there are more.
  if (errors_.size() > kMaxFieldErrors) return;
  errors_.push_back({std::move(path), smtp::Printable(description, kMaxDescription)});
}

std::optional<address::Address> FieldChecker::Address(const std::string& path, absl::string_view text) {
  if (text.empty()) {
    Refuse(path, "an address is required");
    return std::nullopt;
  }
  auto address = address::ParseAddress(text);
  if (!address.ok()) {
    Refuse(path, std::string(address.status().message()));
    return std::nullopt;
  }
  return *std::move(address);
}

bool FieldChecker::HeaderText(const std::string& path, absl::string_view text, std::size_t limit) {
  if (text.size() > limit) {
    Refuse(path, absl::StrCat("is ", text.size(), " bytes long, at most ", limit, " are allowed"));
    return false;
  }
  if (!mime::IsSafeHeaderValue(text)) {
    Refuse(path, "must be UTF-8 without CR, LF and NUL");
    return false;
  }
  return true;
}

bool FieldChecker::Label(const std::string& path, absl::string_view text) {
  const bool well_formed = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
  if (well_formed && text.size() <= kMaxLabel) return true;
  Refuse(path, "must be at most 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'");
  return false;
}

std::optional<absl::Time> FieldChecker::Time(const std::string& path, const google::protobuf::Timestamp& time) {
  if (time.seconds() < kFirstSecond || time.seconds() > kLastSecond || time.nanos() < 0 || time.nanos() > 999'999'999) {
    Refuse(path, "is not a valid timestamp");
    return std::nullopt;
  }
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace hikyaku::submission
