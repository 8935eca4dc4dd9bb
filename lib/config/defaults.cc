#include "lib/config/defaults.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "lib/address/domain.h"
#include "lib/config/duration.h"

namespace hikyaku::config {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;

std::string MachineName() {
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) != 0) return "";
  return name;
}

// These set what is not set.
template <typename Message>
void Default(absl::Duration value, Message* message, bool (Message::*has)() const,
             google::protobuf::Duration* (Message::*field)()) {
  if (!(message->*has)()) SetDuration(value, (message->*field)());
}

template <typename Message>
void Default(std::uint64_t bytes, Message* message, bool (Message::*has)() const, v1::Size* (Message::*field)()) {
  if (!(message->*has)()) (message->*field)()->set_bytes(bytes);
}

// The loader lets no 0 through for a field that cannot tell it from "not set".
template <typename Message>
void Default(std::uint32_t value, Message* message, std::uint32_t (Message::*get)() const,
             void (Message::*set)(std::uint32_t)) {
  if ((message->*get)() == 0) (message->*set)(value);
}

void DefaultHostname(v1::Config* config) {
  if (!config->hostname().empty()) return;
  const absl::StatusOr<std::string> name = address::ToALabel(MachineName());
  if (name.ok() && address::IsFqdn(*name)) config->set_hostname(*name);
}

void DefaultListeners(Role role, v1::Listeners* listeners) {
  if (HasSubmission(role)) {
    if (listeners->grpc().empty()) listeners->add_grpc()->set_address("127.0.0.1:7025");
    if (listeners->smtp().empty()) listeners->add_smtp()->set_address("127.0.0.1:2525");
  }
  if (role == Role::kQueue && listeners->internal().empty()) {
    listeners->add_internal()->set_address("127.0.0.1:7026");
  }
  if (listeners->http().empty()) listeners->add_http()->set_address("127.0.0.1:8025");
}

void DefaultLimits(v1::Limits* limits) {
  using M = v1::Limits;
  Default(25 * kMiB, limits, &M::has_message_size, &M::mutable_message_size);
  Default(1000u, limits, &M::recipients, &M::set_recipients);
  Default(5000u, limits, &M::connections, &M::set_connections);
  if (!limits->has_connections_per_client()) limits->set_connections_per_client(100);
  Default(256 * kMiB, limits, &M::has_memory, &M::mutable_memory);
  Default(50u, limits, &M::hops, &M::set_hops);
}

void DefaultSmtp(v1::Smtp* smtp) {
  using M = v1::Smtp;
  Default(absl::Minutes(5), smtp, &M::has_idle_timeout, &M::mutable_idle_timeout);
  Default(absl::Minutes(30), smtp, &M::has_data_timeout, &M::mutable_data_timeout);
  Default(20u, smtp, &M::max_errors, &M::set_max_errors);
}

void DefaultDns(v1::Dns* dns) {
  using M = v1::Dns;
  Default(absl::Seconds(10), dns, &M::has_timeout, &M::mutable_timeout);
  Default(absl::Hours(1), dns, &M::has_max_ttl, &M::mutable_max_ttl);
}

// The name of this shard: the only one, or the one that bears the machine's name, as a pod of a StatefulSet does.
void DefaultShard(Role role, v1::Queue* queue) {
  if (role == Role::kAll && queue->shards().empty()) queue->add_shards()->set_name("q0");
  if (!queue->name().empty() || !HasQueue(role)) return;
  if (queue->shards_size() == 1) {
    queue->set_name(queue->shards(0).name());
    return;
  }
  const std::string machine = MachineName();
  for (const v1::Shard& shard : queue->shards()) {
    if (shard.name() == machine) queue->set_name(machine);
  }
}

void DefaultQueue(v1::Queue* queue) {
  using M = v1::Queue;
  Default(absl::Hours(5 * 24), queue, &M::has_lifetime, &M::mutable_lifetime);
  v1::Retry* retry = queue->mutable_retry();
  Default(absl::Minutes(5), retry, &v1::Retry::has_min, &v1::Retry::mutable_min);
  Default(absl::Hours(4), retry, &v1::Retry::has_max, &v1::Retry::mutable_max);
  if (!retry->has_jitter()) retry->set_jitter(0.2);
  Default(20u, queue, &M::domain_concurrency, &M::set_domain_concurrency);
  Default(absl::Seconds(60), queue, &M::has_lease_timeout, &M::mutable_lease_timeout);
  Default(1 * kGiB, queue, &M::has_min_free_disk, &M::mutable_min_free_disk);
  if (!queue->has_min_free_inodes()) queue->set_min_free_inodes(1000);
  Default(absl::Hours(3 * 24), queue, &M::has_event_retention, &M::mutable_event_retention);
  Default(64 * kMiB, queue, &M::has_hot_bodies, &M::mutable_hot_bodies);
  Default(50000u, queue, &M::window, &M::set_window);
  Default(32 * kMiB, queue, &M::has_write_buffer, &M::mutable_write_buffer);
  Default(64 * kMiB, queue, &M::has_block_cache, &M::mutable_block_cache);
}

void DefaultTimeouts(v1::Timeouts* timeouts) {
  using M = v1::Timeouts;
  Default(absl::Seconds(30), timeouts, &M::has_connect, &M::mutable_connect);
  Default(absl::Minutes(5), timeouts, &M::has_greeting, &M::mutable_greeting);
  Default(absl::Minutes(5), timeouts, &M::has_hello, &M::mutable_hello);
  Default(absl::Minutes(5), timeouts, &M::has_mail, &M::mutable_mail);
  Default(absl::Minutes(5), timeouts, &M::has_rcpt, &M::mutable_rcpt);
  Default(absl::Minutes(2), timeouts, &M::has_data, &M::mutable_data);
  Default(absl::Minutes(3), timeouts, &M::has_block, &M::mutable_block);
  Default(absl::Minutes(10), timeouts, &M::has_dot, &M::mutable_dot);
  Default(absl::Seconds(20), timeouts, &M::has_rset, &M::mutable_rset);
  Default(absl::Seconds(5), timeouts, &M::has_quit, &M::mutable_quit);
  Default(absl::Minutes(1), timeouts, &M::has_tls, &M::mutable_tls);
}

void DefaultDeliveryTls(v1::DeliveryTls* tls) {
  using M = v1::DeliveryTls;
  if (!tls->has_policy()) tls->set_policy(M::opportunistic);
  if (tls->ca_file().empty()) tls->set_ca_file(kSystemRoots);
  if (!tls->has_mta_sts()) tls->set_mta_sts(true);
  Default(absl::Minutes(4), tls, &M::has_clear_text_after, &M::mutable_clear_text_after);
  Default(absl::Hours(1), tls, &M::has_broken_memory, &M::mutable_broken_memory);
}

void DefaultDelivery(const std::string& hostname, v1::Delivery* delivery) {
  using M = v1::Delivery;
  Default(25u, delivery, &M::port, &M::set_port);
  Default(500u, delivery, &M::concurrency, &M::set_concurrency);
  Default(absl::Seconds(10), delivery, &M::has_idle_connection, &M::mutable_idle_connection);
  Default(100u, delivery, &M::recipients_per_transaction, &M::set_recipients_per_transaction);
  Default(100u, delivery, &M::messages_per_connection, &M::set_messages_per_connection);
  DefaultTimeouts(delivery->mutable_timeouts());
  DefaultDeliveryTls(delivery->mutable_tls());
  if (delivery->helo().empty()) delivery->set_helo(hostname);
}

void DefaultReports(const std::string& hostname, v1::Reports* reports) {
  using M = v1::Reports;
  Default(absl::Hours(4), reports, &M::has_delay_after, &M::mutable_delay_after);
  Default(50 * kKiB, reports, &M::has_headers_only_over, &M::mutable_headers_only_over);
  if (reports->from().empty() && !hostname.empty()) reports->set_from("MAILER-DAEMON@" + hostname);
  if (!reports->has_tls()) return;
  v1::TlsReports& tls = *reports->mutable_tls();
  if (tls.organization().empty()) tls.set_organization(hostname);
  if (tls.contact().empty()) tls.set_contact(tls.from());
}

}  // namespace

void ApplyDefaults(v1::Config& config, Role role) {
  DefaultHostname(&config);
  DefaultListeners(role, config.mutable_listeners());
  if (config.trusted_networks().empty()) {
    config.add_trusted_networks("127.0.0.0/8");
    config.add_trusted_networks("::1/128");
  }
  DefaultLimits(config.mutable_limits());
  DefaultDns(config.mutable_dns());
  DefaultShard(role, config.mutable_queue());
  DefaultQueue(config.mutable_queue());
  DefaultDelivery(config.hostname(), config.mutable_delivery());
  DefaultSmtp(config.mutable_smtp());
  DefaultReports(config.hostname(), config.mutable_reports());
  config.mutable_log();
  if (config.io_threads() == 0) config.set_io_threads(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace hikyaku::config
