#include "services/delivery/source_settings.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/small_file.h"
#include "lib/base/status_macros.h"
#include "lib/net/endpoint.h"

namespace hikyaku::delivery {
namespace {

constexpr std::size_t kMaxSocksField = 255;  // RFC 1929 §2.
constexpr std::size_t kMaxPasswordFile = 4096;

absl::Status At(absl::string_view key, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
}

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  const auto file = ReadSmallFile(path, kMaxPasswordFile);
  if (!file.ok()) return absl::InvalidArgumentError(absl::StrCat(path, " ", file.status().message()));
  const absl::string_view password = FirstLine(file->text);
  if (password.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " has no password in its first line"));
  return std::string(password);
}

absl::StatusOr<std::shared_ptr<const net::Proxy>> ProxyFrom(const v1::Source& source, const std::string& path) {
  if (source.proxy().empty()) return nullptr;
  auto proxy = std::make_shared<net::Proxy>();
  absl::string_view at = source.proxy();
  proxy->kind = absl::ConsumePrefix(&at, "haproxy:") ? net::Proxy::Kind::kHaproxy : net::Proxy::Kind::kSocks5;
  absl::ConsumePrefix(&at, "socks5:");
  auto endpoint = net::ParseEndpoint(at);
  if (!endpoint.ok()) return At(absl::StrCat(path, ".proxy"), endpoint.status());
  proxy->at = *endpoint;
  proxy->user = source.proxy_user();
  if (!proxy->user.empty()) {
    auto password = ReadPassword(source.proxy_password_file());
    if (!password.ok()) return At(absl::StrCat(path, ".proxy_password_file"), password.status());
    proxy->password = *std::move(password);
  }
  if (proxy->user.size() > kMaxSocksField || proxy->password.size() > kMaxSocksField) {
    return At(path, absl::InvalidArgumentError("SOCKS takes at most 255 octets of user and password"));
  }
  return proxy;
}

absl::StatusOr<Source> SourceFrom(const std::string& pool, const v1::Source& config, const std::string& path) {
  Source source;
  if (!config.address().empty()) {
    const auto address = address::IpAddress::Parse(config.address());
    if (!address.ok()) return At(absl::StrCat(path, ".address"), address.status());
    source.address = *address;
  }
  source.helo = config.helo();
  source.name = absl::StrCat(pool, "/", config.address(), "/", config.helo(), "/", config.proxy());
  if (config.weight() != 0) source.weight = config.weight();
  ASSIGN_OR_RETURN(source.proxy, ProxyFrom(config, path));
  if (!config.has_warm_up()) return source;
  const auto start = ParseDay(config.warm_up().start());
  if (!start.ok()) return At(absl::StrCat(path, ".warm_up.start"), start.status());
  source.warm_up = WarmUp{*start, {config.warm_up().days().begin(), config.warm_up().days().end()}};
  return source;
}

// The old form: addresses in turn, and the kernel's choice for the family that none of them has.
absl::StatusOr<SourcePool> ListFrom(const v1::Delivery& delivery) {
  SourcePool pool{"default", {}, /*kernel_fills_in=*/true};
  for (const std::string& text : delivery.sources()) {
    const auto address = address::IpAddress::Parse(text);
    if (!address.ok()) return At("delivery.sources", address.status());
    Source source;
    source.name = text;
    source.address = *address;
    pool.sources.push_back(std::move(source));
  }
  return pool;
}

}  // namespace

absl::StatusOr<Sources> SourcesFrom(const v1::Delivery& delivery) {
  std::vector<SourcePool> pools;
  if (!delivery.sources().empty()) {
    ASSIGN_OR_RETURN(SourcePool list, ListFrom(delivery));
    pools.push_back(std::move(list));
  }
  for (int i = 0; i < delivery.source_pools_size(); ++i) {
    const v1::SourcePool& config = delivery.source_pools(i);
    SourcePool pool{config.name(), {}};
    for (int j = 0; j < config.sources_size(); ++j) {
      const std::string path = absl::StrCat("delivery.source_pools[", i, "].sources[", j, "]");
      ASSIGN_OR_RETURN(Source source, SourceFrom(config.name(), config.sources(j), path));
      pool.sources.push_back(std::move(source));
    }
    pools.push_back(std::move(pool));
  }
  return Sources::Create(std::move(pools));
}

}  // namespace hikyaku::delivery
