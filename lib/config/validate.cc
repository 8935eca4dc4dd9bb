#include "lib/config/validate.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"
#include "lib/base/units.h"
#include "lib/config/dkim_rows.h"
#include "lib/config/duration.h"
#include "lib/config/field_checks.h"
#include "lib/config/route_check.h"

namespace hikyaku::config {
namespace {

// A year: sums with the present time stay far from every limit of the clock's types.
constexpr absl::Duration kMaxDuration = absl::Hours(366 * 24);
constexpr std::uint64_t kMaxMessageSize = 1ULL << 30;  // A protobuf message ends at 2 GiB.
constexpr std::uint64_t kMaxReturned = 1 << 20;        // What more of a mail would people read in its report?
constexpr std::size_t kMaxReportText = 200;
constexpr std::uint64_t kMinWriteBuffer = 64 << 10;  // RocksDB's own least.

class Validator {
 public:
  Validator(const v1::Config& config, Role role, const SourceMap& source)
      : config_(config), role_(role), source_(source) {}

  absl::Status Run() const;

 private:
  absl::Status Names() const;
  absl::Status Listeners() const;
  absl::Status SmtpListeners() const;
  absl::Status OutgoingTls() const;
  absl::Status Networks() const;
  absl::Status Numbers() const;
  absl::Status Durations() const;
  absl::Status Sizes() const;
  absl::Status Retry() const;
  absl::Status Shards() const;
  absl::Status OwnShard() const;
  absl::Status Tls() const;
  absl::Status Delivery() const;
  absl::Status Reports() const;
  absl::Status TlsReports(const v1::TlsReports& reports) const;

  // `wrong` is empty, or the message.
  absl::Status Check(absl::string_view path, const std::string& wrong) const {
    return wrong.empty() ? absl::OkStatus() : source_.Error(path, wrong);
  }
  std::string ShardNames() const;

  const v1::Config& config_;
  const Role role_;
  const SourceMap& source_;
};

absl::Status Validator::Run() const {
  RETURN_IF_ERROR(Names());
  RETURN_IF_ERROR(SmtpListeners());
  RETURN_IF_ERROR(OutgoingTls());
  RETURN_IF_ERROR(Listeners());
  RETURN_IF_ERROR(Networks());
  RETURN_IF_ERROR(Numbers());
  RETURN_IF_ERROR(Durations());
  RETURN_IF_ERROR(Sizes());
  RETURN_IF_ERROR(Retry());
  RETURN_IF_ERROR(Shards());
  RETURN_IF_ERROR(OwnShard());
  RETURN_IF_ERROR(Tls());
  RETURN_IF_ERROR(ValidateDkim(config_, source_));
  RETURN_IF_ERROR(Reports());
  return Delivery();
}

absl::Status Validator::Names() const {
  if (config_.hostname().empty()) {
    return source_.Error("hostname",
                         "is missing, and this machine's name has no domain: write one as in mail.example.jp");
  }
  RETURN_IF_ERROR(Check("hostname", CheckFqdn(config_.hostname())));
  if (HasQueue(role_) && config_.data_dir().empty()) {
    return source_.Error("data_dir", absl::StrCat("is missing, and role ", RoleName(role_),
                                                  " keeps the queue: write a folder, as in /var/lib/hikyaku"));
  }
  return absl::OkStatus();
}

// What is configured but not built must never be ignored: the mail would be less safe than its owner believes.
absl::Status Validator::SmtpListeners() const {
  for (int i = 0; i < config_.listeners().smtp_size(); ++i) {
    const v1::SmtpListener& listener = config_.listeners().smtp(i);
    const std::string path = absl::StrCat("listeners.smtp[", i, "]");
    if (listener.tls() != v1::SmtpListener::none) {
      return source_.Error(path + ".tls", "TLS is not built yet: write none, or remove the key");
    }
    if (listener.auth() != v1::SmtpListener::no) {
      return source_.Error(path + ".auth", "AUTH is not built yet: write none, or remove the key");
    }
    if (listener.proxy_protocol()) {
      return source_.Error(path + ".proxy_protocol",
                           "the PROXY protocol is not built yet: write false, or remove the key");
    }
  }
  return absl::OkStatus();
}

absl::Status Validator::OutgoingTls() const {
  // Without a resolver that validates, every zone would look unsigned, and nothing would ever be checked.
  const auto checks_nothing = [&](v1::DeliveryTls::Policy policy) {
    return policy >= v1::DeliveryTls::dane && !config_.dns().validating();
  };
  const std::string needs =
      "dane needs dns.validating: true, and in dns.servers a resolver that validates DNSSEC; or write opportunistic";
  if (checks_nothing(config_.delivery().tls().policy())) return source_.Error("delivery.tls.policy", needs);
  for (int i = 0; i < config_.delivery().routes_size(); ++i) {
    if (!checks_nothing(config_.delivery().routes(i).tls().policy())) continue;
    return source_.Error(absl::StrCat("delivery.routes[", i, "].tls.policy"), needs);
  }
  return absl::OkStatus();
}

absl::Status Validator::Listeners() const {
  std::map<std::string, std::string> used;  // Address → path.
  const auto check = [&](const auto& listeners, absl::string_view kind, auto check_address) -> absl::Status {
    for (int i = 0; i < listeners.size(); ++i) {
      const std::string path = absl::StrCat("listeners.", kind, "[", i, "].address");
      const std::string& address = listeners.Get(i).address();
      if (address.empty()) return source_.Error(path, "is missing: write an IP:PORT to listen on");
      RETURN_IF_ERROR(Check(path, check_address(address)));
      if (absl::EndsWith(address, ":0")) continue;  // The kernel chooses another port for each.
      const auto [other, fresh] = used.emplace(address, path);
      if (!fresh)
        return source_.Error(path, absl::StrCat("is the address of ", other->second, ": give each its own port"));
    }
    return absl::OkStatus();
  };
  const v1::Listeners& all = config_.listeners();
  RETURN_IF_ERROR(check(all.grpc(), "grpc", CheckListenAddress));
  RETURN_IF_ERROR(check(all.internal(), "internal", CheckListenAddress));
  RETURN_IF_ERROR(check(all.smtp(), "smtp", CheckListenAddress));
  return check(all.http(), "http", CheckListenAddress);
}

absl::Status Validator::Networks() const {
  for (int i = 0; i < config_.trusted_networks_size(); ++i) {
    const std::string path = absl::StrCat("trusted_networks[", i, "]");
    const std::string& range = config_.trusted_networks(i);
    RETURN_IF_ERROR(Check(path, CheckCidr(range)));
    if (absl::EndsWith(range, "/0")) {
      return source_.Error(path, "lets everyone relay: write the ranges of your own clients");
    }
  }
  for (int i = 0; i < config_.dns().servers_size(); ++i) {
    RETURN_IF_ERROR(Check(absl::StrCat("dns.servers[", i, "]"), CheckServerAddress(config_.dns().servers(i))));
  }
  return absl::OkStatus();
}

absl::Status Validator::Numbers() const {
  const v1::Limits& limits = config_.limits();
  const v1::Queue& queue = config_.queue();
  const v1::Delivery& delivery = config_.delivery();
  const struct {
    const char* path;
    std::uint64_t value;
    std::uint64_t most;
  } rows[] = {
      {"io_threads", config_.io_threads(), 1024},
      {"limits.recipients", limits.recipients(), 100'000},
      {"limits.connections", limits.connections(), 1'000'000},
      {"limits.connections_per_client", limits.connections_per_client(), 1'000'000},
      {"limits.hops", limits.hops(), 1000},
      {"smtp.max_errors", config_.smtp().max_errors(), 10'000},
      {"queue.domain_concurrency", queue.domain_concurrency(), 100'000},
      {"queue.window", queue.window(), 10'000'000},
      {"delivery.port", delivery.port(), 65'535},
      {"delivery.concurrency", delivery.concurrency(), 100'000},
      {"delivery.recipients_per_transaction", delivery.recipients_per_transaction(), 10'000},
      {"delivery.messages_per_connection", delivery.messages_per_connection(), 1'000'000},
  };
  for (const auto& row : rows) {
    if (row.value > row.most)
      return source_.Error(row.path, absl::StrCat("is ", row.value, ": write at most ", row.most));
  }
  return absl::OkStatus();
}

absl::Status Validator::Durations() const {
  const v1::Queue& queue = config_.queue();
  const v1::Timeouts& timeouts = config_.delivery().timeouts();
  const struct {
    const char* path;
    const google::protobuf::Duration& value;
    bool may_be_zero;
  } rows[] = {
      {"smtp.idle_timeout", config_.smtp().idle_timeout(), false},
      {"smtp.data_timeout", config_.smtp().data_timeout(), false},
      {"dns.timeout", config_.dns().timeout(), false},
      {"dns.max_ttl", config_.dns().max_ttl(), true},
      {"queue.lifetime", queue.lifetime(), false},
      {"queue.retry.min", queue.retry().min(), false},
      {"queue.retry.max", queue.retry().max(), false},
      {"queue.lease_timeout", queue.lease_timeout(), false},
      {"queue.event_retention", queue.event_retention(), true},
      {"reports.delay_after", config_.reports().delay_after(), true},
      {"delivery.idle_connection", config_.delivery().idle_connection(), true},
      {"delivery.timeouts.connect", timeouts.connect(), false},
      {"delivery.timeouts.greeting", timeouts.greeting(), false},
      {"delivery.timeouts.hello", timeouts.hello(), false},
      {"delivery.timeouts.mail", timeouts.mail(), false},
      {"delivery.timeouts.rcpt", timeouts.rcpt(), false},
      {"delivery.timeouts.data", timeouts.data(), false},
      {"delivery.timeouts.block", timeouts.block(), false},
      {"delivery.timeouts.dot", timeouts.dot(), false},
      {"delivery.timeouts.rset", timeouts.rset(), false},
      {"delivery.timeouts.quit", timeouts.quit(), false},
      {"delivery.timeouts.tls", timeouts.tls(), false},
      {"delivery.tls.clear_text_after", config_.delivery().tls().clear_text_after(), true},
      {"delivery.tls.broken_memory", config_.delivery().tls().broken_memory(), false},
  };
  for (const auto& row : rows) {
    const absl::Duration value = ToDuration(row.value);
    if (value <= absl::ZeroDuration() && !row.may_be_zero) {
      return source_.Error(row.path, "is 0: write a longer time, or remove the key for its default");
    }
    if (value > kMaxDuration) {
      return source_.Error(row.path, absl::StrCat("is ", hikyaku::FormatDuration(value), ": write at most 366d"));
    }
  }
  return absl::OkStatus();
}

absl::Status Validator::Sizes() const {
  const v1::Limits& limits = config_.limits();
  const std::uint64_t size = limits.message_size().bytes();
  if (size == 0) return source_.Error("limits.message_size", "is 0, which refuses all mail: write a size as in 25MiB");
  if (size > kMaxMessageSize) {
    return source_.Error("limits.message_size", absl::StrCat("is ", FormatSize(size), ": write at most 1GiB"));
  }
  if (limits.memory().bytes() < size) {
    return source_.Error("limits.memory", absl::StrCat("is ", FormatSize(limits.memory().bytes()),
                                                       ", less than one message (limits.message_size, ",
                                                       FormatSize(size), "): write more"));
  }
  const std::uint64_t write_buffer = config_.queue().write_buffer().bytes();
  if (write_buffer < kMinWriteBuffer) {
    return source_.Error("queue.write_buffer", absl::StrCat("is ", FormatSize(write_buffer), ": write at least 64KiB"));
  }
  return absl::OkStatus();
}

absl::Status Validator::Retry() const {
  const v1::Retry& retry = config_.queue().retry();
  const absl::Duration min = ToDuration(retry.min());
  const absl::Duration max = ToDuration(retry.max());
  if (min > max) {
    return source_.Error(source_.Has("queue.retry.min") ? "queue.retry.min" : "queue.retry.max",
                         absl::StrCat("min is ", hikyaku::FormatDuration(min), " and max is ",
                                      hikyaku::FormatDuration(max), ": write a min that is not longer than max"));
  }
  if (retry.jitter() < 0 || retry.jitter() > 0.5) {
    return source_.Error("queue.retry.jitter", absl::StrCat("is ", retry.jitter(), ": write a number from 0 to 0.5"));
  }
  return absl::OkStatus();
}

absl::Status Validator::Shards() const {
  const v1::Queue& queue = config_.queue();
  if (queue.shards().empty()) {
    return source_.Error("queue.shards",
                         absl::StrCat("is missing, and role ", RoleName(role_),
                                      " needs it: list every shard as {name: q0, address: \"127.0.0.1:7026\"}"));
  }
  std::set<std::string> names;
  for (int i = 0; i < queue.shards_size(); ++i) {
    const std::string path = absl::StrCat("queue.shards[", i, "]");
    const v1::Shard& shard = queue.shards(i);
    if (shard.name().empty()) return source_.Error(path + ".name", "is missing: write a name as in q0");
    RETURN_IF_ERROR(Check(path + ".name", CheckShardName(shard.name())));
    if (!names.insert(shard.name()).second) {
      return source_.Error(path + ".name", absl::StrCat(shard.name(), " is given twice: give each shard its own name"));
    }
    if (shard.address().empty() && role_ == Role::kAll) continue;
    if (shard.address().empty()) {
      return source_.Error(path + ".address",
                           "is missing: write the address of its internal listener, as in 127.0.0.1:7026");
    }
    RETURN_IF_ERROR(Check(path + ".address", CheckRemoteAddress(shard.address())));
  }
  if (role_ == Role::kAll && names.size() > 1) {
    return source_.Error("queue.shards",
                         "role all has one shard, in its own process: list one, or run each role by itself");
  }
  return absl::OkStatus();
}

absl::Status Validator::OwnShard() const {
  const std::string& name = config_.queue().name();
  if (name.empty() && HasQueue(role_)) {
    return source_.Error("queue.name",
                         absl::StrCat("is missing: say which shard this process is: one of ", ShardNames()));
  }
  if (name.empty()) return absl::OkStatus();
  for (const v1::Shard& shard : config_.queue().shards()) {
    if (shard.name() == name) return absl::OkStatus();
  }
  return source_.Error("queue.name", absl::StrCat(name, " is not in queue.shards: write one of ", ShardNames()));
}

// Mail between the services never crosses a network in the clear, nor is it taken from whoever asks.
absl::Status Validator::Tls() const {
  const v1::InternalTls& tls = config_.queue().tls();
  if (config_.queue().has_tls()) {
    constexpr char kMissing[] = "is missing: write the path of a PEM file, or remove queue.tls";
    if (tls.ca().empty()) return source_.Error("queue.tls.ca", kMissing);
    if (tls.certificate().empty()) return source_.Error("queue.tls.certificate", kMissing);
    if (tls.key().empty()) return source_.Error("queue.tls.key", kMissing);
    return tls.server_name().empty() ? absl::OkStatus() : Check("queue.tls.server_name", CheckFqdn(tls.server_name()));
  }
  const auto check = [this](const std::string& path, const std::string& address) -> absl::Status {
    if (IsLoopbackAddress(address)) return absl::OkStatus();
    return source_.Error(path, absl::StrCat("\"", address,
                                            "\" is not on loopback, and queue.tls is not set: write "
                                            "queue: {tls: {ca: FILE, certificate: FILE, key: FILE}}, or an address "
                                            "on 127.0.0.1 or [::1]"));
  };
  for (int i = 0; i < config_.listeners().internal_size(); ++i) {
    RETURN_IF_ERROR(
        check(absl::StrCat("listeners.internal[", i, "].address"), config_.listeners().internal(i).address()));
  }
  // Who is all roles in one has no use for the addresses.
  for (int i = 0; role_ != Role::kAll && i < config_.queue().shards_size(); ++i) {
    RETURN_IF_ERROR(check(absl::StrCat("queue.shards[", i, "].address"), config_.queue().shards(i).address()));
  }
  return absl::OkStatus();
}

absl::Status Validator::Delivery() const {
  const v1::Delivery& delivery = config_.delivery();
  for (int i = 0; i < delivery.allow_ranges_size(); ++i) {
    RETURN_IF_ERROR(Check(absl::StrCat("delivery.allow_ranges[", i, "]"), CheckCidr(delivery.allow_ranges(i))));
  }
  for (int i = 0; i < delivery.sources_size(); ++i) {
    RETURN_IF_ERROR(Check(absl::StrCat("delivery.sources[", i, "]"), CheckIp(delivery.sources(i))));
  }
  RETURN_IF_ERROR(CheckRoutes(delivery, source_));
  return Check("delivery.helo", CheckFqdn(delivery.helo()));
}

absl::Status Validator::Reports() const {
  const v1::Reports& reports = config_.reports();
  if (reports.headers_only_over().bytes() > kMaxReturned) {
    return source_.Error("reports.headers_only_over",
                         absl::StrCat("is ", FormatSize(reports.headers_only_over().bytes()), ": write at most 1MiB"));
  }
  RETURN_IF_ERROR(Check("reports.from", CheckMailAddress(reports.from())));
  return reports.has_tls() ? TlsReports(reports.tls()) : absl::OkStatus();
}

absl::Status Validator::TlsReports(const v1::TlsReports& reports) const {
  if (reports.from().empty()) {
    return source_.Error("reports.tls.from", "is missing: write an address of a domain that dkim signs for");
  }
  RETURN_IF_ERROR(Check("reports.tls.from", CheckMailAddress(reports.from())));
  if (absl::EndsWith(reports.from(), "]")) {
    return source_.Error("reports.tls.from",
                         "has no domain, which its signature needs: write one as in tls@example.jp");
  }
  const struct {
    const char* path;
    const std::string& text;
  } rows[] = {{"reports.tls.organization", reports.organization()}, {"reports.tls.contact", reports.contact()}};
  for (const auto& row : rows) {
    if (row.text.size() > kMaxReportText) {
      return source_.Error(row.path, absl::StrCat("is longer than ", kMaxReportText, " bytes"));
    }
  }
  // A process that does not deliver signs nothing, and its file may leave dkim out.
  const auto domain = address::ToALabel(reports.from().substr(reports.from().rfind('@') + 1));
  if (HasDelivery(role_) && domain.ok() && !SignsFor(config_, *domain)) {
    return source_.Error("reports.tls.from",
                         absl::StrCat("is of ", *domain,
                                      ", for which no row of dkim.domains signs, and receivers drop "
                                      "reports without its signature (RFC 8460 §3): add a row, or write an address of "
                                      "a domain that has one"));
  }
  return absl::OkStatus();
}

std::string Validator::ShardNames() const {
  std::vector<std::string> names;
  for (const v1::Shard& shard : config_.queue().shards()) names.push_back(shard.name());
  return absl::StrJoin(names, ", ");
}

}  // namespace

absl::Status Validate(const v1::Config& config, Role role, const SourceMap& source) {
  return Validator(config, role, source).Run();
}

}  // namespace hikyaku::config
