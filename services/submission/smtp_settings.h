// What the SMTP front-end is told by the configuration.
#ifndef HIKYAKU_SERVICES_SUBMISSION_SMTP_SETTINGS_H_
#define HIKYAKU_SERVICES_SUBMISSION_SMTP_SETTINGS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/address/literal.h"
#include "lib/smtp/server_session.h"
#include "lib/submission/assemble.h"

namespace hikyaku::submission {

struct SmtpSettings {
  smtp::ServerOptions session;         // may_relay is set for each client.
  std::vector<address::Cidr> trusted;  // Who may relay.
  AssembleOptions assemble;
  absl::Duration idle_timeout = absl::Minutes(5);   // RFC 5321 §4.5.3.2.7.
  absl::Duration data_timeout = absl::Minutes(30);  // Of one message.
  std::uint64_t min_data_rate = 500;                // Bytes a second; 0: any.
};

// Whether `client` is in trusted_networks.
bool IsTrusted(const SmtpSettings& settings, const address::IpAddress& client);

// From a configuration with its defaults (lib/config). kInvalidArgument names a range that does not parse.
absl::StatusOr<SmtpSettings> SmtpSettingsFrom(const v1::Config& config);

// The part that the RPC front-end shares.
AssembleOptions AssembleOptionsFrom(const v1::Config& config);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_SMTP_SETTINGS_H_
