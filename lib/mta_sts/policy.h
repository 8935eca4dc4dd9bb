// MTA-STS as text: the record that says that a domain has a policy, and the policy. Strangers write both, so all of it
// is bounded.
//
// Source:     RFC 8461 §3.1 (TXT record), §3.2 (policy), §4.1 (which hosts it lists).
// Non-goals:  fetching (fetch.h), keeping (policies.h).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_MTA_STS_POLICY_H_
#define HIKYAKU_LIB_MTA_STS_POLICY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace hikyaku::mta_sts {

enum class Mode { kNone, kTesting, kEnforce };

absl::string_view ModeName(Mode mode);  // none, testing, enforce

struct Policy {
  static constexpr std::size_t kMaxSize = 64 * 1024;  // Octets of the whole text (§3.3 asks for a limit).
  static constexpr std::size_t kMaxHosts = 200;       // Lines with "mx".

  Mode mode = Mode::kNone;
  std::vector<std::string> mx;  // "mx.example.net", "*.example.net"; A-labels. Empty only where `mode` is kNone.
  absl::Duration max_age;       // At most a year.

  // Whether `host`, an A-label in lower case, is one of `mx`; a "*" stands for exactly one label.
  bool Lists(absl::string_view host) const;

  // The policy as lines ("version: STSv1", "mode: enforce", …), for reports (RFC 8460 §4.4).
  std::vector<std::string> Lines() const;

  bool operator==(const Policy&) const = default;
};

// The id in the one record among the TXT records of _mta-sts.DOMAIN. Nothing: there is none, more than one, or it is
// malformed, which all mean that the domain offers no policy (§3.1).
std::optional<std::string> RecordId(absl::Span<const std::string> records);

// kInvalidArgument says what is wrong with `text`: it is no policy, and what was known before still holds.
absl::StatusOr<Policy> ParsePolicy(absl::string_view text);

}  // namespace hikyaku::mta_sts

#endif  // HIKYAKU_LIB_MTA_STS_POLICY_H_
