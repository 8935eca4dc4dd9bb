#include "lib/config/route_check.h"

#include <set>
#include <string>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/address/route_target.h"
#include "lib/base/status_macros.h"
#include "lib/config/field_checks.h"

namespace hikyaku::config {
namespace {

using Kind = address::RouteTarget::Kind;

class RouteChecker {
 public:
  RouteChecker(const v1::Delivery& delivery, const SourceMap& source) : delivery_(delivery), source_(source) {}

  absl::Status Run() {
    if (!delivery_.source_pools().empty()) return source_.Error("delivery.source_pools", kNotBuilt);
    for (int i = 0; i < delivery_.routes_size(); ++i) {
      RETURN_IF_ERROR(CheckRow(delivery_.routes(i), absl::StrCat("delivery.routes[", i, "]")));
    }
    return absl::OkStatus();
  }

 private:
  static constexpr char kNotBuilt[] = "is not built yet: remove the key";

  absl::Status Check(const std::string& path, const std::string& wrong) const {
    return wrong.empty() ? absl::OkStatus() : source_.Error(path, wrong);
  }

  absl::Status CheckRow(const v1::Route& route, const std::string& path) {
    if (!route.sources().empty()) return source_.Error(path + ".sources", kNotBuilt);
    if (route.has_auth()) return source_.Error(path + ".auth", kNotBuilt);
    const bool conditional = !route.sender_domain().empty() || !route.tenant().empty() || !route.stream().empty();
    if (route.domain().empty() && !conditional) {
      return source_.Error(path + ".domain", "is missing: write example.com, .example.com or \"*\"");
    }
    if (route.to().empty() && !route.tls().has_policy()) {
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
    if (!route.sender_domain().empty() && route.sender_domain() != "<>") {
      RETURN_IF_ERROR(Check(path + ".sender_domain", CheckRouteDomain(route.sender_domain())));
    }
    if (!rows_.insert({domain, route.sender_domain(), route.tenant(), route.stream()}).second) {
      return source_.Error(path + ".domain",
                           absl::StrCat(domain, " has a route already", conditional ? " that asks for the same" : "",
                                        ": remove one of the two"));
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
