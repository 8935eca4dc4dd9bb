#include "lib/config/validate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "lib/config/defaults.h"
#include "lib/config/effective.h"
#include "lib/config/yaml_loader.h"

namespace hikyaku::config {
namespace {

absl::Status Check(const std::string& text, Role role) {
  absl::StatusOr<LoadedConfig> loaded = ParseConfig(text, "f");
  if (!loaded.ok()) return absl::InternalError(loaded.status().ToString());
  ApplyDefaults(loaded->config, role);
  return Validate(loaded->config, role, loaded->source);
}

// Good by itself for role all; a case adds one fault below.
constexpr char kBase[] = "hostname: mail.example.jp\ndata_dir: /var/lib/hikyaku\n";

struct BadCase {
  const char* name;
  std::string text;  // Follows kBase: its first line is 3.
  std::string error;
  Role role = Role::kAll;
};

class BadValue : public testing::TestWithParam<BadCase> {};

TEST_P(BadValue, StopsTheStart) {
  const absl::Status status = Check(kBase + GetParam().text, GetParam().role);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_EQ(message.substr(0, GetParam().error.size()), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Validate, BadValue,
    testing::ValuesIn<BadCase>({
        {"DaneWithoutValidation", "delivery: {tls: {policy: dane}}\n",
         "f:3: delivery.tls.policy: dane needs dns.validating: true"},
        {"DaneOnARouteWithoutValidation", "delivery: {routes: [{domain: a.test, tls: {policy: dane_only}}]}\n",
         "f:3: delivery.routes[0].tls.policy: dane needs dns.validating: true"},
        {"DkimWithoutRows", "dkim: {folder: /k}\n", "f:3: dkim.domains: is missing"},
        {"DkimWithoutFolder", "dkim: {domains: [{domain: a.test, selectors: [k]}]}\n", "f:3: dkim.folder: is missing"},
        {"DkimWithoutDomain", "dkim: {folder: /k, domains: [{selectors: [k]}]}\n",
         "f:3: dkim.domains[0].domain: is missing"},
        {"DkimBadDomain", "dkim: {folder: /k, domains: [{domain: .a.test, selectors: [k]}]}\n",
         "f:3: dkim.domains[0].domain: \".a.test\" is no domain"},
        {"DkimWithoutSelector", "dkim: {folder: /k, domains: [{domain: a.test}]}\n",
         "f:3: dkim.domains[0].selectors: is missing"},
        {"DkimBadSelector", "dkim: {folder: /k, domains: [{domain: a.test, selectors: [../x]}]}\n",
         "f:3: dkim.domains[0].selectors[0]: \"../x\" is no selector"},
        {"DkimSelectorTwice", "dkim: {folder: /k, domains: [{domain: a.test, selectors: [k, K]}]}\n",
         "f:3: dkim.domains[0].selectors[1]: K is given twice"},
        {"DkimTooManySelectors", "dkim: {folder: /k, domains: [{domain: a.test, selectors: [a, b, c, d, e]}]}\n",
         "f:3: dkim.domains[0].selectors: has 5: write at most 4"},
        {"DkimDomainTwice",
         "dkim: {folder: /k, domains: [{domain: a.test, selectors: [k]}, {domain: A.TEST, selectors: [k]}]}\n",
         "f:3: dkim.domains[1].domain: A.TEST has a row already"},
        {"DkimOthersWithoutSigner", "dkim: {folder: /k, domains: [{domain: \"*\", selectors: [k]}]}\n",
         "f:3: dkim.domains[0].sign_as: is missing"},
        {"DkimSignerOfARow", "dkim: {folder: /k, domains: [{domain: a.test, sign_as: b.test, selectors: [k]}]}\n",
         "f:3: dkim.domains[0].sign_as: is only for \"*\""},
        {"Tls", "listeners:\n  smtp:\n  - {address: \"127.0.0.1:1\", tls: starttls}\n",
         "f:5: listeners.smtp[0].tls: TLS is not built yet"},
        {"Auth", "listeners: {smtp: [{address: \"127.0.0.1:1\", auth: optional}]}\n",
         "f:3: listeners.smtp[0].auth: AUTH is not built yet"},
        {"ProxyProtocol", "listeners: {smtp: [{address: \"127.0.0.1:1\", proxy_protocol: true}]}\n",
         "f:3: listeners.smtp[0].proxy_protocol: the PROXY protocol is not built yet"},
        {"ListenerWithoutAddress", "listeners: {http: [{}]}\n", "f:3: listeners.http[0].address: is missing"},
        {"ListenerWithoutPort", "listeners: {grpc: [{address: 127.0.0.1}]}\n",
         "f:3: listeners.grpc[0].address: \"127.0.0.1\" is no IP:PORT"},
        {"ListenerByName", "listeners: {grpc: [{address: \"localhost:7025\"}]}\n",
         "f:3: listeners.grpc[0].address: \"localhost:7025\" is no IP:PORT"},
        {"ListenerWithBadPort", "listeners: {grpc: [{address: \"127.0.0.1:65536\"}]}\n",
         "f:3: listeners.grpc[0].address: \"127.0.0.1:65536\" is no IP:PORT"},
        {"BareIpv6", "listeners: {grpc: [{address: \"::1:25\"}]}\n",
         "f:3: listeners.grpc[0].address: \"::1:25\" is no IP:PORT"},
        {"SamePortTwice", "listeners:\n  http: [{address: \"127.0.0.1:2525\"}]\n",
         "f:4: listeners.http[0].address: is the address of listeners.smtp[0].address"},
        {"InternalListenerInTheOpen", "listeners: {internal: [{address: \"10.0.0.1:7026\"}]}\n",
         "f:3: listeners.internal[0].address: \"10.0.0.1:7026\" is not on loopback"},
        {"InternalListenerEverywhere", "listeners: {internal: [{address: \"0.0.0.0:7026\"}]}\n",
         "f:3: listeners.internal[0].address: \"0.0.0.0:7026\" is not on loopback"},
        {"ShardInTheOpen", "queue: {shards: [{name: q0, address: \"10.0.0.1:7026\"}]}\n",
         "f:3: queue.shards[0].address: \"10.0.0.1:7026\" is not on loopback, and queue.tls is not set",
         Role::kDelivery},
        {"ShardByNameInTheOpen", "queue: {shards: [{name: q0, address: \"q0.example:7026\"}]}\n",
         "f:3: queue.shards[0].address: \"q0.example:7026\" is not on loopback", Role::kSubmission},
        {"TlsWithoutAuthority", "queue: {tls: {certificate: c, key: k}}\n", "f:3: queue.tls.ca: is missing"},
        {"TlsWithoutCertificate", "queue: {tls: {ca: a, key: k}}\n", "f:3: queue.tls.certificate: is missing"},
        {"TlsWithoutKey", "queue: {tls: {ca: a, certificate: c}}\n", "f:3: queue.tls.key: is missing"},
        {"TlsWithBadName", "queue: {tls: {ca: a, certificate: c, key: k, server_name: x}}\n",
         "f:3: queue.tls.server_name: \"x\" is not fully qualified"},
        {"BadRange", "trusted_networks: [127.0.0.0/8, 10.0.0.0/33]\n",
         "f:3: trusted_networks[1]: \"10.0.0.0/33\" is no range"},
        {"OpenRelay", "trusted_networks: [0.0.0.0/0]\n", "f:3: trusted_networks[0]: lets everyone relay"},
        {"DnsServerByName", "dns: {servers: [\"ns.example:53\"]}\n",
         "f:3: dns.servers[0]: \"ns.example:53\" is no IP:PORT"},
        {"DnsServerWithPortZero", "dns: {servers: [\"127.0.0.1:0\"]}\n",
         "f:3: dns.servers[0]: \"127.0.0.1:0\" has port 0"},
        {"ZeroDuration", "dns:\n  timeout: 0\n", "f:4: dns.timeout: is 0"},
        {"EndlessDuration", "queue: {lifetime: 367d}\n", "f:3: queue.lifetime: is 367d: write at most 366d"},
        {"MinAboveMax", "queue:\n  retry: {min: 5h}\n", "f:4: queue.retry.min: min is 5h and max is 4h"},
        {"MaxBelowDefaultMin", "queue:\n  retry: {max: 1m}\n", "f:4: queue.retry.max: min is 5m and max is 1m"},
        {"MuchJitter", "queue: {retry: {jitter: 0.51}}\n",
         "f:3: queue.retry.jitter: is 0.51: write a number from 0 to 0.5"},
        {"NegativeJitter", "queue: {retry: {jitter: -0.1}}\n", "f:3: queue.retry.jitter: is -0.1"},
        {"NoMessageFits", "limits: {message_size: 0}\n", "f:3: limits.message_size: is 0"},
        {"MessageTooLarge", "limits: {message_size: 2GiB}\n", "f:3: limits.message_size: is 2GiB: write at most 1GiB"},
        {"MemoryBelowOneMessage", "limits: {memory: 1MiB}\n", "f:3: limits.memory: is 1MiB, less than one message"},
        {"TinyWriteBuffer", "queue: {write_buffer: 1KiB}\n", "f:3: queue.write_buffer: is 1KiB: write at least 64KiB"},
        {"ReportsFromNobody", "reports: {from: nobody}\n", "f:3: reports.from: \"nobody\" is no mail address"},
        {"TlsReportsOfNobody", "reports: {tls: {from: nobody}}\n",
         "f:3: reports.tls.from: \"nobody\" is no mail address"},
        {"TlsReportsWithoutFrom", "reports: {tls: {organization: Ours}}\n", "f:3: reports.tls.from: is missing"},
        {"TlsReportsFromALiteral", "reports: {tls: {from: \"a@[192.0.2.1]\"}}\n",
         "f:3: reports.tls.from: has no domain"},
        {"TlsReportsWithALongName",
         absl::StrCat("reports: {tls: {from: a@x.test, contact: ", std::string(201, 'x'), "}}\n"),
         "f:3: reports.tls.contact: is longer than 200 bytes"},
        {"TlsReportsUnsigned", "reports: {tls: {from: tls@mail.x.test}}\n",
         "f:3: reports.tls.from: is of mail.x.test, for which no row of dkim.domains signs"},
        {"TlsReportsSignedByAnother",
         "reports: {tls: {from: tls@x.test}}\ndkim: {folder: /k, domains: [{domain: mail.x.test, selectors: [k]}, "
         "{domain: \"*\", sign_as: y.test, selectors: [k]}]}\n",
         "f:3: reports.tls.from: is of x.test, for which no row"},
        {"ReportsTooLarge", "reports: {headers_only_over: 2MiB}\n",
         "f:3: reports.headers_only_over: is 2MiB: write at most 1MiB"},
        {"PortTooLarge", "delivery: {port: 70000}\n", "f:3: delivery.port: is 70000: write at most 65535"},
        {"ManyThreads", "io_threads: 100000\n", "f:3: io_threads: is 100000: write at most 1024"},
        {"BadAllowRange", "delivery: {allow_ranges: [private]}\n",
         "f:3: delivery.allow_ranges[0]: \"private\" is no range"},
        {"BadSource", "delivery: {sources: [eth0]}\n", "f:3: delivery.sources[0]: \"eth0\" is no IP address"},
        {"BadHelo", "delivery: {helo: me}\n", "f:3: delivery.helo: \"me\" is not fully qualified"},
        {"RouteWithoutTarget", "delivery: {routes: [{domain: a.test}]}\n", "f:3: delivery.routes[0].to: is missing"},
        {"RouteWithoutDomain", "delivery: {routes: [{to: a.test}]}\n", "f:3: delivery.routes[0].domain: is missing"},
        {"RouteToBareAddress", "delivery: {routes: [{domain: a.test, to: \"192.0.2.1:25\"}]}\n",
         "f:3: delivery.routes[0].to: \"192.0.2.1:25\" is an address: write it in brackets"},
        {"RouteOpenBracket", "delivery: {routes: [{domain: a.test, to: \"[192.0.2.1:25\"}]}\n",
         "f:3: delivery.routes[0].to: \"[192.0.2.1:25\" lacks its closing bracket"},
        {"RouteBadPort", "delivery: {routes: [{domain: a.test, to: \"[h.test]:smtp\"}]}\n",
         "f:3: delivery.routes[0].to: \"[h.test]:smtp\" has no valid port"},
        {"RouteBadDomain", "delivery: {routes: [{domain: \"a..test\", to: h.test}]}\n",
         "f:3: delivery.routes[0].domain: \"a..test\" is no domain"},
        {"RouteBadLiteral", "delivery: {routes: [{domain: \"[192.0.2.256]\", to: h.test}]}\n",
         "f:3: delivery.routes[0].domain: \"[192.0.2.256]\" is no address literal"},
        {"RouteToUnknownSocket", "delivery: {routes: [{domain: a.test, to: \"lmtp:unix:run\"}]}\n",
         "f:3: delivery.routes[0].to: \"lmtp:unix:run\": a socket is named by its full path"},
        {"RouteToLmtpAddress", "delivery: {routes: [{domain: a.test, to: \"lmtp:192.0.2.1:24\"}]}\n",
         "f:3: delivery.routes[0].to: \"192.0.2.1:24\" is an address: write it in brackets"},
        {"RouteRejectsWithoutText", "delivery: {routes: [{domain: a.test, to: \"reject:\"}]}\n",
         "f:3: delivery.routes[0].to: \"reject:\": the text is missing"},
        {"MaildirWithoutRoot", "delivery: {routes: [{domain: a.test, to: \"maildir:x\"}]}\n",
         "f:3: delivery.routes[0].to: needs delivery.maildir_root"},
        {"MaildirOutsideOfRoot",
         "delivery:\n  maildir_root: /capture\n  routes: [{domain: a.test, to: \"maildir:/captured/x\"}]\n",
         "f:5: delivery.routes[0].to: \"/captured/x\" is not below delivery.maildir_root (/capture)"},
        {"MaildirRootIsNoPath", "delivery: {maildir_root: capture}\n",
         "f:3: delivery.maildir_root: is no full path of a folder"},
        {"RouteWithBadSender", "delivery: {routes: [{sender_domain: a..test, to: h.test}]}\n",
         "f:3: delivery.routes[0].sender_domain: \"a..test\" is no domain"},
        {"RouteTwiceForOneTenant",
         "delivery:\n  routes:\n  - {tenant: t, to: h.test}\n  - {domain: \"*\", tenant: t, to: i.test}\n",
         "f:6: delivery.routes[1].domain: * has a route already that asks for the same"},
        {"UnknownPool", "delivery: {routes: [{tenant: a, sources: x}]}\n",
         "f:3: delivery.routes[0].sources: \"x\" is no pool"},
        {"PoolsBesideSources",
         "delivery:\n  sources: [192.0.2.1]\n  source_pools: [{name: a, sources: [{helo: a.b}]}]\n",
         "f:4: delivery.sources: and source_pools do not go together"},
        {"PoolWithoutName", "delivery: {source_pools: [{sources: [{}]}]}\n",
         "f:3: delivery.source_pools[0].name: is missing"},
        {"PoolWithoutSource", "delivery: {source_pools: [{name: a}]}\n",
         "f:3: delivery.source_pools[0].sources: is missing"},
        {"PoolTwice", "delivery:\n  source_pools:\n  - {name: a, sources: [{helo: a.b}]}\n  - {name: a}\n",
         "f:6: delivery.source_pools[1].name: a is there already"},
        {"SourceWithBadAddress", "delivery: {source_pools: [{name: a, sources: [{address: eth0}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].address: \"eth0\" is no IP address"},
        {"WarmUpWithBadDay",
         "delivery: {source_pools: [{name: a, sources: [{warm_up: {start: monday, days: [1]}}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].warm_up.start: \"monday\" is no day"},
        {"WarmUpWithoutDays", "delivery: {source_pools: [{name: a, sources: [{warm_up: {start: 2026-12-01}}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].warm_up.days: is missing"},
        {"ProxyOfUnknownKind", "delivery: {source_pools: [{name: a, sources: [{proxy: \"http:192.0.2.1:80\"}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].proxy: is no proxy"},
        {"ProxyByName", "delivery: {source_pools: [{name: a, sources: [{proxy: \"socks5:proxy.test:1080\"}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].proxy: \"proxy.test:1080\" is no IP:PORT"},
        {"HaproxyWithoutAddress",
         "delivery: {source_pools: [{name: a, sources: [{proxy: \"haproxy:192.0.2.1:50\"}]}]}\n",
         "f:3: delivery.source_pools[0].sources[0].address: is missing"},
        {"AuthWithoutHost",
         "delivery: {routes: [{domain: a.test, to: \"smtp:\", auth: {user: a, password_file: /p}}]}\n",
         "f:3: delivery.routes[0].auth: needs a host in `to`"},
        {"AuthWithoutProof",
         "delivery: {routes: [{domain: a.test, to: \"[h]\", tls: {policy: require}, auth: {user: a, password_file: "
         "/p}}]}\n",
         "f:3: delivery.routes[0].auth: sends the password only where TLS proves the host"},
        {"AuthWithoutUser", "delivery: {routes: [{domain: a.test, to: \"[h]\", auth: {password_file: /p}}]}\n",
         "f:3: delivery.routes[0].auth.user: is missing"},
        {"AuthWithoutFile", "delivery: {routes: [{domain: a.test, to: \"[h]\", auth: {user: a}}]}\n",
         "f:3: delivery.routes[0].auth.password_file: is missing"},
        {"AuthWithUnknownMechanism",
         "delivery: {routes: [{domain: a.test, to: \"[h]\", auth: {user: a, password_file: /p, mechanisms: "
         "[ntlm]}}]}\n",
         "f:3: delivery.routes[0].auth.mechanisms[0]: ntlm is unknown"},
        {"RouteTwice", "delivery:\n  routes:\n  - {domain: a.test, to: h.test}\n  - {domain: a.test, to: i.test}\n",
         "f:6: delivery.routes[1].domain: a.test has a route already"},
        {"RouteTwiceByAnotherSpelling",
         "delivery:\n  routes:\n  - {domain: .bücher.test, to: h.test}\n  - {domain: .XN--BCHER-KVA.test, to: "
         "i.test}\n",
         "f:6: delivery.routes[1].domain: .XN--BCHER-KVA.test has a route already"},
        {"TwoShardsInOneProcess", "queue: {shards: [{name: q0}, {name: q1}]}\n", "f:3: queue.shards: role all has one"},
        {"ShardTwice", "queue:\n  shards:\n  - {name: q0, address: \"h:1\"}\n  - {name: q0, address: \"h:2\"}\n",
         "f:6: queue.shards[1].name: q0 is given twice", Role::kSubmission},
        {"ShardWithoutName", "queue: {shards: [{address: \"h:1\"}]}\n", "f:3: queue.shards[0].name: is missing"},
        {"ShardWithBadName", "queue: {shards: [{name: \"q/0\"}]}\n",
         "f:3: queue.shards[0].name: \"q/0\" is no shard name"},
        {"ShardWithoutAddress", "queue: {shards: [{name: q0}]}\n", "f:3: queue.shards[0].address: is missing",
         Role::kDelivery},
        {"ShardWithoutPort", "queue: {shards: [{name: q0, address: h}]}\n",
         "f:3: queue.shards[0].address: \"h\" has no port", Role::kDelivery},
        {"UnknownOwnName", "queue: {name: q9, shards: [{name: q0}]}\n", "f:3: queue.name: q9 is not in queue.shards"},
        {"NoOwnName", "queue: {shards: [{name: a, address: \"h:1\"}, {name: b, address: \"h:2\"}]}\n",
         "f:3: queue.name: is missing: say which shard this process is: one of a, b", Role::kQueue},
        {"SubmissionWithoutShards", "", "f: queue.shards: is missing, and role submission needs it", Role::kSubmission},
        {"DeliveryWithoutShards", "", "f: queue.shards: is missing, and role delivery needs it", Role::kDelivery},
    }),
    [](const auto& info) { return info.param.name; });

TEST(Validate, AsksForTheHostname) {
  EXPECT_EQ(
      Check("hostname: localhost\n", Role::kDelivery).message(),
      "f:1: hostname: \"localhost\" is not fully qualified: write the name with its domain, as in mail.example.jp");
  EXPECT_EQ(Check("hostname: \"bücher.example\"\n", Role::kDelivery).message(),
            "f:1: hostname: \"bücher.example\" is not in A-labels: write xn--bcher-kva.example");
}

TEST(Validate, ReportsOnTlsAreSignedByTheirDomainOrOneAbove) {
  const std::string from = absl::StrCat(kBase, "reports: {tls: {from: tls@mail.x.test}}\n");
  for (const char* row : {"{domain: mail.x.test, selectors: [k]}", "{domain: X.test, selectors: [k]}",
                          "{domain: \"*\", sign_as: x.test, selectors: [k]}"}) {
    EXPECT_EQ(Check(absl::StrCat(from, "dkim: {folder: /k, domains: [", row, "]}\n"), Role::kAll), absl::OkStatus());
  }
  // Where nothing is delivered nothing is signed.
  EXPECT_EQ(
      Check(absl::StrCat(from, "queue: {name: q0, shards: [{name: q0, address: \"127.0.0.1:7026\"}]}\n"), Role::kQueue),
      absl::OkStatus());
}

TEST(Validate, AsksForDataDirWhereTheQueueIs) {
  const std::string text = "hostname: a.example\nqueue: {shards: [{name: q0, address: \"127.0.0.1:7026\"}]}\n";
  EXPECT_EQ(Check(text, Role::kAll).message(),
            "f: data_dir: is missing, and role all keeps the queue: write a folder, as in /var/lib/hikyaku");
  EXPECT_FALSE(Check(text, Role::kQueue).ok());
  EXPECT_TRUE(Check(text, Role::kSubmission).ok());
  EXPECT_TRUE(Check(text, Role::kDelivery).ok());
}

TEST(Validate, AcceptsTheExampleOfTheDesign) {
  const std::string text = R"(
hostname: mail.example.jp
data_dir: /var/lib/hikyaku
listeners:
  grpc: [{address: "127.0.0.1:7025"}]
  smtp: [{address: "127.0.0.1:2525"}]
  http: [{address: "127.0.0.1:8025"}]
trusted_networks: ["127.0.0.0/8", "::1/128"]
limits: {message_size: 25MiB, recipients: 1000}
dns: {servers: ["127.0.0.1:5353"]}
queue:
  shards: [{name: q0, address: "127.0.0.1:7026"}]
  lifetime: 5d
  retry: {min: 5m, max: 4h}
delivery:
  port: 25
  routes: [{domain: test-sample.jp, to: "[192.168.0.103]:25"}]
)";
  for (const Role role : {Role::kAll, Role::kSubmission, Role::kQueue, Role::kDelivery}) {
    EXPECT_TRUE(Check(text, role).ok()) << Check(text, role);
  }
}

TEST(Validate, AcceptsEveryShapeOfRoute) {
  const std::string text = absl::StrCat(kBase, R"(
delivery:
  routes:
  - {domain: a.test, to: "[192.0.2.1]"}
  - {domain: .a.test, to: "[2001:db8::1]:2525"}
  - {domain: b.test, to: "[IPv6:2001:db8::1]:25"}
  - {domain: "bücher.test", to: "[mx.c.test]:25"}
  - {domain: d.test, to: "d.test:26"}
  - {domain: "[192.0.2.1]", to: "[127.0.0.1]:2525"}
  - {domain: "[IPv6:2001:db8::1]", to: "[127.0.0.1]:2525"}
  - {domain: "*", to: smart.test}
  - {domain: c.test, to: "smtp:[relay.test]:587"}
  - {domain: e.test, to: "lmtp:unix:/run/dovecot/lmtp"}
  - {domain: f.test, to: "lmtp:[127.0.0.1]:24"}
  - {domain: g.test, to: "discard:"}
  - {domain: h.test, to: "maildir:a/b"}
  - {domain: i.test, to: "maildir:/capture/b"}
  - {domain: j.test, to: "error:5.1.1 no such user"}
  - {domain: k.test, to: "smtp:25"}
  - {sender_domain: "<>", to: smart.test}
  - {domain: a.test, sender_domain: .b.test, tenant: t, stream: s, to: smart.test}
  maildir_root: /capture/
)");
  EXPECT_TRUE(Check(text, Role::kAll).ok()) << Check(text, Role::kAll);
}

TEST(CheckDataDir, SaysWhatIsWrongWithTheFolder) {
  const std::string tmp = std::getenv("TEST_TMPDIR");
  const auto check = [](const std::string& path, Role role = Role::kQueue) {
    v1::Config config;
    config.set_data_dir(path);
    return CheckDataDir(config, role, SourceMap("f"));
  };
  EXPECT_TRUE(check(tmp).ok());
  EXPECT_TRUE(check(tmp + "/new").ok());
  EXPECT_TRUE(check(tmp + "/new/").ok());
  EXPECT_EQ(check(tmp + "/a/b").message(), absl::StrCat("f: data_dir: ", tmp, "/a/b cannot be made: ", tmp,
                                                        "/a: No such file or directory: make the folder first"));
  std::ofstream(tmp + "/file") << "x";
  EXPECT_EQ(check(tmp + "/file").message(), absl::StrCat("f: data_dir: ", tmp, "/file is not a folder: name one"));
  EXPECT_FALSE(check(tmp + "/file/sub").ok());
  EXPECT_TRUE(check(tmp + "/file", Role::kDelivery).ok());
}

TEST(LoadEffectiveConfig, LoadsDefaultsAndValidates) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/c.yaml");
  std::ofstream(path) << kBase;
  EXPECT_EQ(LoadEffectiveConfig(path, Role::kAll)->config.delivery().port(), 25u);
  EXPECT_FALSE(LoadEffectiveConfig(path, Role::kDelivery).ok());
}

}  // namespace
}  // namespace hikyaku::config
