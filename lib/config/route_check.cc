#include "lib/config/route_check.h"

#include <cstdint>
#include <set>
#include <string>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"
#include "lib/address/route_target.h"
#include "lib/base/status_macros.h"
#include "lib/config/field_checks.h"

namespace hikyaku::config {
namespace {

using Kind = address::RouteTarget::Kind;

constexpr std::uint32_t kMaxWeight = 1'000'000;

std::string CheckDay(absl::string_view text) {
  absl::Time day;
  std::string error;
  const bool good = text.size() == 10 && absl::ParseTime("%Y-%m-%d", text, absl::UTCTimeZone(), &day, &error);
  return good ? "" : absl::StrCat("\"", text, "\" is no day: write one as 2026-12-01");
}

// As routes compare it (lib/delivery/route.h), so that two spellings of one domain are one. Of what has passed
// CheckRouteDomain.
std::string Canonical(absl::string_view pattern) {
  if (const auto literal = address::ParseAddressLiteral(pattern); literal.ok()) return literal->ToLiteral();
  absl::string_view name = pattern;
  const bool suffix = absl::ConsumePrefix(&name, ".");
  const auto domain = address::ToALabel(name);
  return domain.ok() ? absl::StrCat(suffix ? "." : "", *domain) : std::string(pattern);
}

class RouteChecker {
 public:
  RouteChecker(const v1::Delivery& delivery, const SourceMap& source) : delivery_(delivery), source_(source) {}

  absl::Status Run() {
    RETURN_IF_ERROR(CheckPools());
    for (int i = 0; i < delivery_.routes_size(); ++i) {
      RETURN_IF_ERROR(CheckRow(delivery_.routes(i), absl::StrCat("delivery.routes[", i, "]")));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Check(const std::string& path, const std::string& wrong) const {
    return wrong.empty() ? absl::OkStatus() : source_.Error(path, wrong);
  }

  absl::Status CheckRow(const v1::Route& route, const std::string& path) {
    const bool conditional = !route.sender_domain().empty() || !route.tenant().empty() || !route.stream().empty();
    if (route.domain().empty() && !conditional) {
      return source_.Error(path + ".domain", "is missing: write example.com, .example.com or \"*\"");
    }
    if (route.to().empty() && route.sources().empty() && !route.tls().has_policy()) {
      return source_.Error(path + ".to", "is missing: write a host, as in \"[192.0.2.1]:25\"");
    }
    const std::string domain = route.domain().empty() ? "*" : route.domain();
    RETURN_IF_ERROR(Check(path + ".domain", CheckRouteDomain(domain)));
    if (!route.to().empty()) RETURN_IF_ERROR(CheckTarget(route.to(), path + ".to"));
    const bool weak = route.tls().has_policy() && route.tls().policy() < v1::DeliveryTls::require;
    if (route.tls().implicit() && weak) {
      return source_.Error(path + ".tls.policy",
                           "does not fit to implicit: true, which is TLS always: write require or verify");
    }
    if (!route.sources().empty() && pools_.count(route.sources()) == 0) {
      return source_.Error(path + ".sources",
                           absl::StrCat("\"", route.sources(), "\" is no pool: name one of delivery.source_pools"));
    }
    if (route.has_auth()) RETURN_IF_ERROR(CheckAuth(route, path + ".auth"));
    if (!route.sender_domain().empty() && route.sender_domain() != "<>") {
      RETURN_IF_ERROR(Check(path + ".sender_domain", CheckRouteDomain(route.sender_domain())));
    }
    if (!rows_.insert({Canonical(domain), Canonical(route.sender_domain()), route.tenant(), route.stream()}).second) {
      return source_.Error(path + ".domain",
                           absl::StrCat(domain, " has a route already", conditional ? " that asks for the same" : "",
                                        ": remove one of the two"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckPools() {
    if (!delivery_.source_pools().empty() && !delivery_.sources().empty()) {
      return source_.Error("delivery.sources", "and source_pools do not go together: write a pool named \"default\"");
    }
    for (int i = 0; i < delivery_.source_pools_size(); ++i) {
      const v1::SourcePool& pool = delivery_.source_pools(i);
      const std::string path = absl::StrCat("delivery.source_pools[", i, "]");
      if (pool.name().empty())
        return source_.Error(path + ".name", "is missing: write default, or what routes call it");
      if (!pools_.insert(pool.name()).second) {
        return source_.Error(path + ".name", absl::StrCat(pool.name(), " is there already: choose another name"));
      }
      if (pool.sources().empty()) return source_.Error(path + ".sources", "is missing: write at least one source");
      for (int j = 0; j < pool.sources_size(); ++j) {
        RETURN_IF_ERROR(CheckSource(pool.sources(j), absl::StrCat(path, ".sources[", j, "]")));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckSource(const v1::Source& member, const std::string& path) const {
    if (!member.address().empty()) RETURN_IF_ERROR(Check(path + ".address", CheckIp(member.address())));
    if (!member.helo().empty()) RETURN_IF_ERROR(Check(path + ".helo", CheckFqdn(member.helo())));
    if (member.weight() > kMaxWeight) {
      return source_.Error(path + ".weight", absl::StrCat("is ", member.weight(), ": write at most ", kMaxWeight));
    }
    if (member.has_warm_up()) {
      if (member.warm_up().start().empty()) {
        return source_.Error(path + ".warm_up.start", "is missing: write the first day, as 2026-12-01");
      }
      RETURN_IF_ERROR(Check(path + ".warm_up.start", CheckDay(member.warm_up().start())));
      if (member.warm_up().days().empty()) {
        return source_.Error(path + ".warm_up.days", "is missing: write the messages of each day, as [50, 100, 200]");
      }
    }
    return CheckProxy(member, path);
  }

  absl::Status CheckProxy(const v1::Source& member, const std::string& path) const {
    absl::string_view at = member.proxy();
    const bool login = !member.proxy_user().empty() || !member.proxy_password_file().empty();
    const bool socks = absl::ConsumePrefix(&at, "socks5:");
    const bool haproxy = !socks && absl::ConsumePrefix(&at, "haproxy:");
    if (member.proxy_user().empty() != member.proxy_password_file().empty()) {
      return source_.Error(path + ".proxy_user", "and proxy_password_file go together: write both or none");
    }
    if (login && !socks) return source_.Error(path + ".proxy_user", "is for a socks5: proxy only: remove it");
    if (member.proxy().empty()) return absl::OkStatus();
    if (!socks && !haproxy) {
      return source_.Error(path + ".proxy", "is no proxy: write socks5:[192.0.2.1]:1080 or haproxy:[192.0.2.1]:5000");
    }
    RETURN_IF_ERROR(Check(path + ".proxy", CheckServerAddress(at)));
    if (haproxy && member.address().empty()) {
      return source_.Error(path + ".address", "is missing: write the address that HAProxy is to send from");
    }
    if (socks && !member.address().empty()) {
      return source_.Error(path + ".address", "cannot be chosen through SOCKS: remove it; the proxy chooses");
    }
    return absl::OkStatus();
  }

  absl::Status CheckAuth(const v1::Route& route, const std::string& path) const {
    const v1::RouteAuth& auth = route.auth();
    const auto target = address::ParseRouteTarget(route.to());
    if (!target.ok() || target->kind != Kind::kSmtp || target->host.empty()) {
      return source_.Error(path, "needs a host in `to`, as in \"[smtp.example.net]:587\"");
    }
    const bool may_be_unproved = route.tls().has_policy() && route.tls().policy() != v1::DeliveryTls::verify;
    if (may_be_unproved && !auth.allow_clear()) {
      return source_.Error(path,
                           "sends the password only where TLS proves the host: write tls: {policy: verify}, or "
                           "auth.allow_clear: true");
    }
    if (auth.user().empty()) return source_.Error(path + ".user", "is missing: write the name that the relay gave you");
    if (auth.password_file().empty()) {
      return source_.Error(path + ".password_file", "is missing: write the path of the file whose first line it is");
    }
    for (int i = 0; i < auth.mechanisms_size(); ++i) {
      const std::string name = absl::AsciiStrToLower(auth.mechanisms(i));
      if (name == "scram-sha-256" || name == "plain" || name == "login") continue;
      return source_.Error(absl::StrCat(path, ".mechanisms[", i, "]"),
                           absl::StrCat(auth.mechanisms(i), " is unknown: write scram-sha-256, plain or login"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckTarget(const std::string& to, const std::string& path) const {
    if (const auto host = address::RouteTargetHost(to)) {
      RETURN_IF_ERROR(Check(path, CheckRouteTarget(*host)));
    }
    const auto target = address::ParseRouteTarget(to);
    if (!target.ok()) return source_.Error(path, absl::StrCat("\"", to, "\": ", target.status().message()));
    if (target->kind != Kind::kMaildir) return absl::OkStatus();
    const absl::string_view root = absl::StripSuffix(delivery_.maildir_root(), "/");
    if (root.empty()) {
      return source_.Error(path,
                           "needs delivery.maildir_root: write there the folder that all such routes write below");
    }
    if (absl::StartsWith(target->path, "/") && !absl::StartsWith(target->path, absl::StrCat(root, "/"))) {
      return source_.Error(path, absl::StrCat("\"", target->path, "\" is not below delivery.maildir_root (", root,
                                              "): write a folder below it"));
    }
    return absl::OkStatus();
  }

  const v1::Delivery& delivery_;
  const SourceMap& source_;
  std::set<std::string> pools_;
  std::set<std::tuple<std::string, std::string, std::string, std::string>> rows_;
};

}  // namespace

absl::Status CheckRoutes(const v1::Delivery& delivery, const SourceMap& source) {
  if (const std::string& root = delivery.maildir_root(); !root.empty() && (root == "/" || root[0] != '/')) {
    return source.Error("delivery.maildir_root",
                        "is no full path of a folder: write one as in /var/lib/hikyaku-capture");
  }
  return RouteChecker(delivery, source).Run();
}

}  // namespace hikyaku::config
