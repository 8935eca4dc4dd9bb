#include "lib/mta_sts/policy.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/address/domain.h"

namespace hikyaku::mta_sts {
namespace {

constexpr absl::string_view kVersion = "STSv1";
constexpr absl::string_view kRecordStart = "v=STSv1";
constexpr std::size_t kMaxId = 32;            // §3.1.
constexpr std::size_t kMaxDigits = 10;        // Of max_age (§3.2).
constexpr std::int64_t kMaxAge = 31'557'600;  // Seconds: a year (§3.2).
constexpr std::size_t kMostShown = 60;        // Of what a stranger wrote, in a text for people.

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the MTA-STS policy ", what));
}

// "mx.example.net" or "*.example.net" in the form in which hosts are compared.
std::optional<std::string> ToPattern(absl::string_view text) {
  const bool wild = absl::ConsumePrefix(&text, "*.");
  const auto label = address::ToALabel(absl::StripSuffix(text, "."));
  if (!label.ok()) return std::nullopt;
  return absl::StrCat(wild ? "*." : "", *label);
}

std::optional<Mode> ToMode(absl::string_view text) {
  for (const Mode mode : {Mode::kNone, Mode::kTesting, Mode::kEnforce}) {
    if (text == ModeName(mode)) return mode;
  }
  return std::nullopt;
}

// A longer life than a year is cut to a year.
std::optional<absl::Duration> ToMaxAge(absl::string_view digits) {
  std::int64_t seconds = 0;
  const bool plain = !digits.empty() && digits.size() <= kMaxDigits &&
                     std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
  if (!plain || !absl::SimpleAtoi(digits, &seconds)) return std::nullopt;
  return absl::Seconds(std::min(seconds, kMaxAge));
}

// What the lines say. The first of a key counts (§3.2), but for mx, of which all do.
struct Fields {
  std::optional<absl::string_view> version, mode, max_age;
  std::vector<absl::string_view> mx;
};

absl::Status Take(absl::string_view line, Fields* fields) {
  const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(':', 1));
  const absl::string_view key = absl::StripAsciiWhitespace(halves.first);
  const absl::string_view value = absl::StripAsciiWhitespace(halves.second);
  const auto once = [&](std::optional<absl::string_view>& field) {
    if (!field) field = value;
  };
  if (key == "version") once(fields->version);
  if (key == "mode") once(fields->mode);
  if (key == "max_age") once(fields->max_age);
  if (key != "mx") return absl::OkStatus();
  if (fields->mx.size() == Policy::kMaxHosts) return Bad(absl::StrCat("lists more than ", Policy::kMaxHosts, " hosts"));
  fields->mx.push_back(value);
  return absl::OkStatus();
}

// What stands behind the version of a record of MTA-STS; nothing: it is another record (an SPF record, "v=STSv10;").
std::optional<absl::string_view> AfterVersion(absl::string_view record) {
  if (!absl::ConsumePrefix(&record, kRecordStart)) return std::nullopt;
  record = absl::StripLeadingAsciiWhitespace(record);
  if (!absl::ConsumePrefix(&record, ";")) return std::nullopt;
  return record;
}

}  // namespace

absl::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kNone: return "none";
    case Mode::kTesting: return "testing";
    case Mode::kEnforce: return "enforce";
  }
  return "?";
}

bool Policy::Lists(absl::string_view host) const {
  const std::size_t dot = host.find('.');
  const absl::string_view parent = dot == 0 || dot == host.npos ? absl::string_view() : host.substr(dot + 1);
  return std::any_of(mx.begin(), mx.end(), [&](absl::string_view pattern) {
    return absl::ConsumePrefix(&pattern, "*.") ? parent == pattern : host == pattern;
  });
}

std::vector<std::string> Policy::Lines() const {
  std::vector<std::string> lines = {absl::StrCat("version: ", kVersion), absl::StrCat("mode: ", ModeName(mode))};
  for (const std::string& pattern : mx) lines.push_back(absl::StrCat("mx: ", pattern));
  lines.push_back(absl::StrCat("max_age: ", absl::ToInt64Seconds(max_age)));
  return lines;
}

std::optional<std::string> RecordId(absl::Span<const std::string> records) {
  std::optional<absl::string_view> only;
  for (const std::string& record : records) {
    const auto rest = AfterVersion(record);
    if (rest && only) return std::nullopt;
    if (rest) only = rest;
  }
  if (!only) return std::nullopt;
  for (absl::string_view field : absl::StrSplit(*only, ';')) {
    field = absl::StripAsciiWhitespace(field);
    if (!absl::ConsumePrefix(&field, "id=")) continue;
    const bool legal = !field.empty() && field.size() <= kMaxId &&
                       std::all_of(field.begin(), field.end(), [](unsigned char c) { return absl::ascii_isalnum(c); });
    return legal ? std::optional<std::string>(field) : std::nullopt;
  }
  return std::nullopt;
}

absl::StatusOr<Policy> ParsePolicy(absl::string_view text) {
  if (text.size() > Policy::kMaxSize) return Bad("is larger than 64KiB");
  Fields fields;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::Status status = Take(line, &fields); !status.ok()) return status;
  }
  if (fields.version != kVersion) return Bad("has no line \"version: STSv1\"");
  const auto mode = ToMode(fields.mode.value_or(""));
  if (!mode) return Bad("has no mode that is enforce, testing or none");
  const auto max_age = ToMaxAge(fields.max_age.value_or(""));
  if (!max_age) return Bad("has no max_age in seconds");
  Policy policy{*mode, {}, *max_age};
  for (const absl::string_view host : fields.mx) {
    auto pattern = ToPattern(host);
    if (!pattern)
      return Bad(absl::StrCat("lists \"", absl::CEscape(host.substr(0, kMostShown)), "\", which is no host"));
    policy.mx.push_back(*std::move(pattern));
  }
  if (policy.mx.empty() && policy.mode != Mode::kNone) return Bad("lists no mx");
  return policy;
}

}  // namespace hikyaku::mta_sts
