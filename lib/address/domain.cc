#include "lib/address/domain.h"

#include <idn2.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace hikyaku::address {
namespace {

// A name of 253 characters that are 4 bytes each is the longest that could have an A-label form.
constexpr std::size_t kMaxInputOctets = 4 * kMaxDomainOctets;
constexpr std::size_t kMaxQuotedOctets = 80;  // What an error repeats of the input.

struct FreeIdn2 {
  void operator()(void* p) const { idn2_free(p); }
};

// Pure ASCII and escaped: the text of an error may end up in a reply or a log line.
std::string Quoted(absl::string_view domain) {
  const bool cut = domain.size() > kMaxQuotedOctets;
  return absl::StrCat("\"", absl::CHexEscape(domain.substr(0, kMaxQuotedOctets)), cut ? "..." : "", "\"");
}

absl::Status Invalid(absl::string_view domain, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(Quoted(domain), " is not a domain: ", why));
}

absl::Status TooLong(absl::string_view domain, absl::string_view what, std::size_t limit) {
  return absl::OutOfRangeError(absl::StrCat(Quoted(domain), " ", what, " longer than ", limit, " octets"));
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isascii(c); });
}

bool HasAlabel(absl::string_view domain) {
  for (const absl::string_view label : absl::StrSplit(domain, '.')) {
    if (absl::StartsWithIgnoreCase(label, "xn--")) return true;
  }
  return false;
}

// The IDNA2008 look-up protocol. Without IDN2_USE_STD3_ASCII_RULES, which would silently *drop* what is no letter,
// digit or hyphen (`a_b.test` → `ab.test`): CheckLabels refuses it instead.
absl::StatusOr<std::string> MapByIdna(absl::string_view domain) {
  if (domain.find('\0') != absl::string_view::npos) return Invalid(domain, "it holds a NUL");
  const std::string input(domain);
  std::uint8_t* raw = nullptr;
  const int result =
      idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(input.c_str()), &raw, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, FreeIdn2> output(raw);
  switch (result) {
    case IDN2_OK: return std::string(reinterpret_cast<const char*>(output.get()));
    case IDN2_TOO_BIG_LABEL:
    case IDN2_PUNYCODE_BIG_OUTPUT: return TooLong(domain, "has a label", kMaxLabelOctets);
    case IDN2_TOO_BIG_DOMAIN: return TooLong(domain, "is", kMaxDomainOctets);
    default: return Invalid(domain, idn2_strerror(result));
  }
}

absl::Status CheckLabel(absl::string_view domain, absl::string_view label) {
  if (label.empty()) return Invalid(domain, "it has an empty label (two dots, or a dot at an end)");
  for (const unsigned char c : label) {
    if (!absl::ascii_isalnum(c) && c != '-') {
      return Invalid(domain, "only letters, digits, hyphens and dots may stand in a name");
    }
  }
  if (label.front() == '-' || label.back() == '-') return Invalid(domain, "a label begins or ends with a hyphen");
  if (label.size() > kMaxLabelOctets) return TooLong(domain, "has a label", kMaxLabelOctets);
  return absl::OkStatus();
}

// Whether resolvers' inet_aton would take a name that ends in `label` for an IPv4 address. No top-level domain is
// numeric (RFC 1123 §2.1), so such a name is an error or an attack on a filter.
bool LooksNumeric(absl::string_view label) {
  if (absl::StartsWith(label, "0x")) {
    label.remove_prefix(2);
    return std::all_of(label.begin(), label.end(), [](unsigned char c) { return absl::ascii_isxdigit(c); });
  }
  return std::all_of(label.begin(), label.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
}

absl::Status CheckLabels(absl::string_view domain, absl::string_view ascii) {
  const std::vector<absl::string_view> labels = absl::StrSplit(ascii, '.');
  for (const absl::string_view label : labels) RETURN_IF_ERROR(CheckLabel(domain, label));
  if (ascii.size() > kMaxDomainOctets) return TooLong(domain, "is", kMaxDomainOctets);
  if (LooksNumeric(labels.back())) {
    return Invalid(domain, "it reads as an IP address; an address literal is written [192.0.2.1]");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ToALabel(absl::string_view domain) {
  if (domain.empty()) return absl::InvalidArgumentError("the domain is empty");
  if (domain.size() > kMaxInputOctets) return TooLong(domain, "is", kMaxDomainOctets);
  std::string ascii;
  if (IsAscii(domain) && !HasAlabel(domain)) {
    ascii = absl::AsciiStrToLower(domain);
  } else {
    ASSIGN_OR_RETURN(ascii, MapByIdna(domain));
  }
  RETURN_IF_ERROR(CheckLabels(domain, ascii));
  return ascii;
}

std::string ToULabel(absl::string_view a_label) {
  std::string plain(a_label);
  if (a_label.size() > kMaxDomainOctets || !HasAlabel(a_label)) return plain;
  char* raw = nullptr;
  const int result = idn2_to_unicode_8z8z(plain.c_str(), &raw, 0);
  const std::unique_ptr<char, FreeIdn2> output(raw);
  if (result != IDN2_OK) return plain;
  // Punycode can encode what IDNA forbids: show only what would be read back as the same name.
  const absl::StatusOr<std::string> back = ToALabel(output.get());
  return back.ok() && *back == a_label ? std::string(output.get()) : plain;
}

bool IsFqdn(absl::string_view a_label) { return a_label.find('.') != absl::string_view::npos; }

}  // namespace hikyaku::address
