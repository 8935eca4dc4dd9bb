#include "lib/config/dkim_rows.h"

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"
#include "lib/config/field_checks.h"

namespace hikyaku::config {
namespace {

constexpr char kEveryOther[] = "*";

// A selector is part of a DNS name and of a file's name.
std::string CheckSelector(const std::string& selector) {
  const auto name = address::ToALabel(selector);
  if (name.ok() && *name == absl::AsciiStrToLower(selector)) return "";
  return absl::StrCat("\"", selector, "\" is no selector: write letters, digits, hyphens and dots, as in k2026a");
}

absl::Status CheckSelectors(const v1::DkimDomain& row, const std::string& path, const SourceMap& source) {
  if (row.selectors().empty()) {
    return source.Error(path + ".selectors", "is missing: write one or more, as in [k2026a], or remove the row");
  }
  if (row.selectors_size() > kMaxSelectors) {
    return source.Error(path + ".selectors", absl::StrCat("has ", row.selectors_size(), ": write at most ",
                                                          kMaxSelectors, ", each signs every mail"));
  }
  std::set<std::string> used;
  for (int i = 0; i < row.selectors_size(); ++i) {
    const std::string at = absl::StrCat(path, ".selectors[", i, "]");
    if (const std::string wrong = CheckSelector(row.selectors(i)); !wrong.empty()) return source.Error(at, wrong);
    if (!used.insert(absl::AsciiStrToLower(row.selectors(i))).second) {
      return source.Error(at, absl::StrCat(row.selectors(i), " is given twice: remove one of the two"));
    }
  }
  return absl::OkStatus();
}

// In A-labels.
absl::StatusOr<std::string> CheckDomain(const std::string& domain, const std::string& path, const SourceMap& source) {
  const auto name = address::ToALabel(domain);
  if (name.ok() && address::IsFqdn(*name)) return *name;
  return source.Error(path, absl::StrCat("\"", domain, "\" is no domain: write one as in example.com"));
}

absl::Status CheckRow(const v1::DkimDomain& row, const std::string& path, const SourceMap& source,
                      std::set<std::string>* domains) {
  std::string name = row.domain();
  if (name.empty()) return source.Error(path + ".domain", "is missing: write example.com, or \"*\" for all others");
  if (name == kEveryOther) {
    if (row.sign_as().empty()) {
      return source.Error(path + ".sign_as", "is missing: write the domain that signs for all those without a row");
    }
    RETURN_IF_ERROR(CheckDomain(row.sign_as(), path + ".sign_as", source).status());
  } else {
    ASSIGN_OR_RETURN(name, CheckDomain(row.domain(), path + ".domain", source));
    if (!row.sign_as().empty()) {
      return source.Error(path + ".sign_as",
                          "is only for \"*\": a domain that signs for itself passes DMARC, another would not");
    }
  }
  if (!domains->insert(name).second) {
    return source.Error(path + ".domain", absl::StrCat(row.domain(), " has a row already: remove one of the two"));
  }
  return CheckSelectors(row, path, source);
}

// "mail.example.jp" is within "example.jp", and within itself.
bool IsWithin(absl::string_view domain, absl::string_view other) {
  return domain == other || absl::EndsWith(domain, absl::StrCat(".", other));
}

}  // namespace

bool SignsFor(const v1::Config& config, absl::string_view domain) {
  const v1::DkimDomain* others = nullptr;
  for (const v1::DkimDomain& row : config.dkim().domains()) {
    if (row.domain() == kEveryOther) {
      others = &row;
    } else if (const auto name = address::ToALabel(row.domain()); name.ok() && IsWithin(domain, *name)) {
      return true;
    }
  }
  const auto signs = address::ToALabel(others != nullptr ? others->sign_as() : "");
  return signs.ok() && IsWithin(domain, *signs);
}

absl::Status ValidateDkim(const v1::Config& config, const SourceMap& source) {
  if (!config.has_dkim()) return absl::OkStatus();
  const v1::Dkim& dkim = config.dkim();
  if (dkim.domains().empty()) {
    return source.Error("dkim.domains", "is missing: write {domain: example.com, selectors: [k1]}, or remove dkim");
  }
  if (dkim.folder().empty()) {
    return source.Error("dkim.folder", "is missing: write the folder with the keys, as in /etc/hikyaku/dkim");
  }
  std::set<std::string> domains;
  for (int i = 0; i < dkim.domains_size(); ++i) {
    RETURN_IF_ERROR(CheckRow(dkim.domains(i), absl::StrCat("dkim.domains[", i, "]"), source, &domains));
  }
  return absl::OkStatus();
}

}  // namespace hikyaku::config
