#include "lib/delivery/plan.h"

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

// What a plan gives, host after host: "mx1.test 192.0.2.1:25,…", then "! 4.4.4" for its trouble, if any.
awaitable<std::vector<std::string>> Exhaust(Plan& plan) {
  std::vector<std::string> hosts;
  for (;;) {
    auto host = co_await plan.Next();
    if (!host.ok() || !host->has_value()) break;
    hosts.push_back(
        absl::StrCat((*host)->name, " ", absl::StrJoin((*host)->endpoints, ",", [](std::string* out, const auto& e) {
                       absl::StrAppend(out, e.text());
                     })));
  }
  if (plan.trouble()) {
    hosts.push_back(absl::StrCat("! ", std::string(outcome::KindName(plan.trouble()->kind)), " ",
                                 plan.trouble()->enhanced.ToString()));
  }
  co_return hosts;
}

class PlanTest : public testing::Test {
 protected:
  std::vector<std::string> Hosts(const std::string& domain) {
    Budget budget;
    Plan plan({resolver_, guard_, own_, clock_, budget}, domain, routes_.Route({domain}));
    return net::RunTask(context_, Exhaust(plan));
  }

  void Allow(const std::string& range) { guard_ = net::EgressGuard({*address::Cidr::Parse(range)}); }

  boost::asio::io_context context_;
  dns::FakeResolver resolver_;
  net::EgressGuard guard_;
  OwnHost own_;
  FakeClock clock_;
  RouteTable routes_{25};
};

using Wanted = std::vector<std::string>;

// Documentation ranges are closed to mail too: the tests use addresses that nobody has a reason to close.
constexpr char kA[] = "11.0.0.1";
constexpr char kB[] = "11.0.0.2";
constexpr char kV6[] = "2600::1";

TEST_F(PlanTest, LowestPreferenceFirst) {
  resolver_.SetMx("d.test", {{20, "b.test"}, {10, "a.test"}});
  resolver_.SetAddresses("a.test", {kA});
  resolver_.SetAddresses("b.test", {kB});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"a.test 11.0.0.1:25", "b.test 11.0.0.2:25"}));
}

TEST_F(PlanTest, LaterHostsAreNotLookedUpBeforeTheyAreNeeded) {
  resolver_.SetMx("d.test", {{20, "b.test"}, {10, "a.test"}});
  resolver_.SetAddresses("a.test", {kA});
  Budget budget;
  Plan plan({resolver_, guard_, own_, clock_, budget}, "d.test", routes_.Route({"d.test"}));
  const auto first = net::RunTask(context_, plan.Next());
  EXPECT_TRUE(first.ok() && first->has_value());
  EXPECT_EQ(resolver_.lookups(), 2);
}

TEST_F(PlanTest, Ipv6BeforeIpv4OfOneHost) {
  resolver_.SetAddresses("d.test", {kA, kV6});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"d.test [2600::1]:25,11.0.0.1:25"}));
}

TEST_F(PlanTest, NoSuchDomain) { EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.1.2"})); }

TEST_F(PlanTest, NullMx) {
  resolver_.SetMx("d.test", {{0, ""}});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.1.10"}));
}

TEST_F(PlanTest, NullMxBesideARealOneIsIgnored) {
  resolver_.SetMx("d.test", {{0, ""}, {10, "a.test"}});
  resolver_.SetAddresses("a.test", {kA});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"a.test 11.0.0.1:25"}));
}

TEST_F(PlanTest, MxHostsThatDoNotExistMakeTheMailWait) {
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! transient 4.4.4"}));
}

TEST_F(PlanTest, ServfailOfOneHostGoesOnToTheNext) {
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.Fail("a.test", absl::UnavailableError("SERVFAIL"));
  resolver_.SetAddresses("b.test", {kB});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"b.test 11.0.0.2:25", "! transient 4.4.3"}));
}

// BATTERY X01.
TEST_F(PlanTest, OnlyPrivateAddressesIsPermanent) {
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.SetAddresses("a.test", {"127.0.0.1", "0.0.0.0", "169.254.169.254"});
  resolver_.SetAddresses("b.test", {"10.9.9.1", "::1", "::ffff:10.0.0.1"});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.7.1"}));
}

TEST_F(PlanTest, PrivateAddressesBesideAFailedLookupMakeTheMailWait) {
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.SetAddresses("a.test", {"127.0.0.1"});
  resolver_.Fail("b.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! transient 4.4.3"}));
}

// BATTERY X05.
TEST_F(PlanTest, PublicHostsBesidePrivateOnes) {
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.SetAddresses("a.test", {"192.168.0.9"});
  resolver_.SetAddresses("b.test", {"10.0.0.1", kB});
  EXPECT_EQ(Hosts("d.test")[0], "b.test 11.0.0.2:25");
}

TEST_F(PlanTest, AllowedRangeIsOpen) {
  Allow("192.168.0.0/24");
  resolver_.SetAddresses("d.test", {"192.168.0.9", "192.168.1.9"});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"d.test 192.168.0.9:25"}));
}

// BATTERY X04.
TEST_F(PlanTest, LiteralOfARecipientIsGuarded) {
  EXPECT_EQ(Hosts("[127.0.0.1]"), (Wanted{"! permanent 5.7.1"}));
  EXPECT_EQ(Hosts("[11.0.0.1]"), (Wanted{"[11.0.0.1] 11.0.0.1:25"}));
}

TEST_F(PlanTest, LiteralOfARouteIsOpen) {
  routes_ = *RouteTable::Create({{"d.test", "[127.0.0.1]:2525"}}, 25);
  EXPECT_EQ(Hosts("d.test"), (Wanted{"[127.0.0.1] 127.0.0.1:2525"}));
  EXPECT_EQ(resolver_.lookups(), 0);
}

TEST_F(PlanTest, HostOfARouteIsNoMxLookupAndStillGuarded) {
  routes_ = *RouteTable::Create({{"*", "[relay.test]:2525"}}, 25);
  resolver_.SetMx("relay.test", {{10, "a.test"}});
  resolver_.SetAddresses("relay.test", {kA});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"relay.test 11.0.0.1:2525"}));
  resolver_.SetAddresses("relay.test", {"10.0.0.1"});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! transient 4.7.1"}));
}

TEST_F(PlanTest, ARouteThatLeadsNowhereIsNotTheMailsFault) {
  routes_ = *RouteTable::Create({{"*", "typo.test"}}, 25);
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! transient 4.1.2"}));
}

// BATTERY X06; RFC 5321 §5.1.
TEST_F(PlanTest, WeAreTheBestMx) {
  own_.endpoints.push_back({*address::IpAddress::Parse(kA), 25});
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.SetAddresses("a.test", {kA});
  resolver_.SetAddresses("b.test", {kB});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.4.6"}));
}

TEST_F(PlanTest, WeAreTheBestMxByName) {
  own_.name = "a.test";
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.SetAddresses("b.test", {kB});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.4.6"}));
}

TEST_F(PlanTest, EqualsOfOurselvesAreLeftOut) {
  own_.name = "a.test";
  resolver_.SetMx("d.test", {{10, "a.test"}, {10, "b.test"}});
  resolver_.SetAddresses("b.test", {kB});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Hosts("d.test"), (Wanted{"! permanent 5.4.6"}));
}

TEST_F(PlanTest, BetterHostsThanOurselvesAreUsed) {
  own_.name = "b.test";
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}, {30, "c.test"}});
  resolver_.SetAddresses("a.test", {kA});
  resolver_.SetAddresses("c.test", {kB});
  EXPECT_EQ(Hosts("d.test")[0], "a.test 11.0.0.1:25");
  EXPECT_EQ(Hosts("d.test").size(), 2u);
}

TEST_F(PlanTest, ABetterHostThatFailsMakesTheMailWait) {
  own_.name = "b.test";
  resolver_.SetMx("d.test", {{10, "a.test"}, {20, "b.test"}});
  resolver_.Fail("a.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Hosts("d.test"), (Wanted{"! transient 4.4.3"}));
}

TEST_F(PlanTest, OurAddressAtAnotherPortIsNotOurselves) {
  own_.endpoints.push_back({*address::IpAddress::Parse(kA), 2525});
  resolver_.SetAddresses("d.test", {kA});
  EXPECT_EQ(Hosts("d.test"), (Wanted{"d.test 11.0.0.1:25"}));
}

}  // namespace
}  // namespace hikyaku::delivery
