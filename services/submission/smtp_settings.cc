#include "services/submission/smtp_settings.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/config/duration.h"

namespace hikyaku::submission {

AssembleOptions AssembleOptionsFrom(const v1::Config& config) {
  AssembleOptions options;
  options.hostname = config.hostname();
  options.max_size = config.limits().message_size().bytes();
  options.max_hops = static_cast<int>(config.limits().hops());
  return options;
}

bool IsTrusted(const SmtpSettings& settings, const address::IpAddress& client) {
  return std::any_of(settings.trusted.begin(), settings.trusted.end(),
                     [&client](const address::Cidr& range) { return range.Contains(client.Unmapped()); });
}

absl::StatusOr<SmtpSettings> SmtpSettingsFrom(const v1::Config& config) {
  SmtpSettings settings;
  settings.session.hostname = config.hostname();
  settings.session.max_size = config.limits().message_size().bytes();
  settings.session.max_recipients = config.limits().recipients();
  settings.session.max_errors = static_cast<int>(config.smtp().max_errors());
  for (const std::string& range : config.trusted_networks()) {
    ASSIGN_OR_RETURN(address::Cidr cidr, address::Cidr::Parse(range));
    settings.trusted.push_back(cidr);
  }
  settings.assemble = AssembleOptionsFrom(config);
  settings.idle_timeout = config::ToDuration(config.smtp().idle_timeout());
  settings.data_timeout = config::ToDuration(config.smtp().data_timeout());
  return settings;
}

}  // namespace hikyaku::submission
