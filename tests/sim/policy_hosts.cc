#include "tests/sim/policy_hosts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/net/sleep.h"
#include "lib/tls/tls_stream.h"
#include "tests/sim/domains.h"
#include "tests/sim/secrets.h"

namespace hikyaku::sim {
namespace {

constexpr absl::Duration kForEver = absl::Hours(1);

std::string NameOf(int domain) { return absl::StrCat("mta-sts.", DomainName(domain)); }

}  // namespace

PolicyHosts::PolicyHosts(World& world, Books& books, Mutant::Kind mutant)
    : world_(world), books_(books), mutant_(mutant), faults_(kDomains) {}

void PolicyHosts::HealAll() { std::fill(faults_.begin(), faults_.end(), PolicyFault::kNone); }

std::string PolicyHosts::Record(int domain) {
  return StsOf(DomainName(domain)).mode == Sts::kNone ? "" : "v=STSv1; id=20260101;";
}

int PolicyHosts::DomainOfHost(absl::string_view host) {
  for (int i = 0; i < kDomains; ++i) {
    if (host == NameOf(i)) return i;
  }
  return -1;
}

std::string PolicyHosts::Response(int domain) const {
  const Sts sts = StsOf(DomainName(domain));
  const bool enforce = sts.mode == Sts::kEnforce && mutant_ != Mutant::kIgnoreSts;
  std::string policy = absl::StrCat("version: STSv1\r\nmode: ", enforce ? "enforce" : "testing", "\r\n");
  for (const int host : sts.hosts) absl::StrAppend(&policy, "mx: ", HostName(host), "\r\n");
  absl::StrAppend(&policy, "max_age: 604800\r\n");
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", policy.size(), "\r\n\r\n",
                      policy);
}

void PolicyHosts::Serve(int domain, int worker, std::unique_ptr<net::Stream> stream, net::TaskGroup& group) {
  group.Spawn(world_.executor(), Answer(this, domain, worker, std::move(stream)));
}

awaitable<void> PolicyHosts::Answer(PolicyHosts* hosts, int domain, int worker, std::unique_ptr<net::Stream> stream) {
  World& world = hosts->world_;
  const PolicyFault fault = hosts->fault(domain);
  if (fault == PolicyFault::kMute) co_await net::Sleep(kForEver);
  const std::string name = NameOf(fault == PolicyFault::kUnproved ? domain + 1 : domain);
  tls::Handshake shaken =
      co_await tls::HandshakeAsServer(ContextOf(name, Certificate::kGood), std::move(stream), kForEver);
  if (!shaken.status.ok()) co_return;
  std::string request;
  while (!absl::StrContains(request, "\r\n\r\n")) {
    char bytes[1024];
    const auto count = co_await shaken.stream->ReadSome(bytes, sizeof bytes, kForEver);
    if (!count.ok()) co_return;
    request.append(bytes, *count);
  }
  co_await net::Sleep(world.random.Between(absl::Milliseconds(1), absl::Milliseconds(200)));
  const std::string response = fault == PolicyFault::kMissing
                                   ? "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
                                   : hosts->Response(domain);
  const absl::Status written = co_await shaken.stream->WriteAll(response, kForEver);
  if (written.ok() && fault != PolicyFault::kMissing) {
    world.Trace("worker ", worker, " is told the policy of ", DomainName(domain));
    hosts->books_.NotePolicyTold(worker, DomainName(domain));
  }
  // Until the client goes.
  char byte;
  co_await shaken.stream->ReadSome(&byte, 1, kForEver);
}

}  // namespace hikyaku::sim
