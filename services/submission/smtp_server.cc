#include "services/submission/smtp_server.h"

#include <string>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/smtp/reply.h"

namespace hikyaku::submission {
namespace {

constexpr std::uint16_t kDefaultPort = 2525;

// The default of limits.connections_per_client, which strangers keep when that is 0; and their rate.
constexpr std::size_t kUntrustedConnections = 100;
constexpr std::size_t kUntrustedRate = 100;

// RFC 5321 §3.8: a server that is too busy says 421 and closes.
std::string TurnAway(net::Refusal refusal) {
  switch (refusal) {
    case net::Refusal::kPerClient: return smtp::FormatReply({421, "4.7.0", "Too many connections from your address"});
    case net::Refusal::kRate: return smtp::FormatReply({421, "4.7.0", "Too many new connections from your address"});
    default: return smtp::FormatReply({421, "4.3.2", "Too many connections, try again later"});
  }
}

}  // namespace

SmtpServer::SmtpServer(SmtpSettings settings, Doors doors)
    : doors_{doors.acceptor, doors.policy, doors.budget, doors.clock, &drain_, nullptr},
      settings_(std::make_shared<const SmtpSettings>(std::move(settings))) {}

SmtpServer::~SmtpServer() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<SmtpServer>> SmtpServer::Start(net::IoPool& pool, const v1::Config& config,
                                                              Doors doors) {
  ASSIGN_OR_RETURN(SmtpSettings settings, SmtpSettingsFrom(config));
  std::unique_ptr<SmtpServer> server(new SmtpServer(std::move(settings), doors));
  const auto admission = std::make_shared<net::Admission>(server->CapsFrom(config.limits()));
  server->doors_.admission = admission.get();  // The listeners keep it.
  for (const v1::SmtpListener& listener : config.listeners().smtp()) {
    net::ListenerOptions options;
    ASSIGN_OR_RETURN(options.at, net::ParseEndpoint(listener.address(), kDefaultPort));
    options.admission = admission;
    options.refusal = TurnAway;
    auto started = net::Listener::Start(
        pool, std::move(options),
        [raw = server.get()](std::unique_ptr<net::Stream> stream) { return raw->Serve(std::move(stream)); });
    RETURN_IF_ERROR(started.status());
    log::Info("listening", {{"protocol", "smtp"}, {"at", (*started)->bound().text()}});
    server->listeners_.push_back(*std::move(started));
  }
  return server;
}

// Without a cap for clients, only those in trusted networks, as they are now, have none.
net::Admission::Caps SmtpServer::CapsFrom(const v1::Limits& limits) const {
  const auto trusted = [this](const address::IpAddress& client) { return IsTrusted(*Settings(), client); };
  net::Admission::Caps caps;
  caps.total = limits.connections();
  caps.per_client = limits.connections_per_client();
  if (caps.per_client == 0) {
    caps.per_client = kUntrustedConnections;
    caps.exempt = trusted;
  }
  caps.rate_per_client = kUntrustedRate;
  caps.rate_exempt = trusted;
  return caps;
}

std::shared_ptr<const SmtpSettings> SmtpServer::Settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

absl::Status SmtpServer::Reload(const v1::Config& config) {
  ASSIGN_OR_RETURN(SmtpSettings settings, SmtpSettingsFrom(config));
  std::lock_guard lock(mutex_);
  settings_ = std::make_shared<const SmtpSettings>(std::move(settings));
  return absl::OkStatus();
}

awaitable<void> SmtpServer::Serve(std::unique_ptr<net::Stream> stream) {
  co_await ServeSmtp(std::move(stream), Settings(), doors_);
}

void SmtpServer::Stop(absl::Duration grace) {
  if (drain_.begun()) return;
  for (const auto& listener : listeners_) listener->Stop();
  drain_.Begin(doors_.clock->Now() + grace);
  // The cancel wakes idle sessions at once; it is the drain's time that ends busy ones.
  for (const auto& listener : listeners_) listener->Drain(absl::ZeroDuration());
}

std::vector<net::Endpoint> SmtpServer::bound() const {
  std::vector<net::Endpoint> endpoints;
  for (const auto& listener : listeners_) endpoints.push_back(listener->bound());
  return endpoints;
}

std::size_t SmtpServer::connections() const {
  std::size_t count = 0;
  for (const auto& listener : listeners_) count += listener->connections();
  return count;
}

}  // namespace hikyaku::submission
