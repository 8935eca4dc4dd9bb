#include "lib/queue/keys.h"

#include "gtest/gtest.h"

namespace hikyaku::queue::keys {
namespace {

const std::string kId = "0123456789abcdef";

TEST(Keys, DeliveryIsIdThenDomain) {
  const std::string key = Delivery(kId, "x.test");
  EXPECT_EQ(key, kId + "x.test");
  EXPECT_EQ(DeliveryId(key), kId);
  EXPECT_EQ(DeliveryDomain(key), "x.test");
}

TEST(Keys, DueSortsByTime) {
  const std::string key = Delivery(kId, "x.test");
  EXPECT_LT(Due(255, key), Due(256, key));
  EXPECT_LT(Due(1'700'000'000'000'000, key), Due(1'700'000'000'000'001, key));
  EXPECT_EQ(Due(-5, key), Due(0, key));
  const std::string due = Due(42, key);
  const auto parts = ParseDue(due);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->micros, 42);
  EXPECT_EQ(parts->delivery_key, key);
  EXPECT_FALSE(ParseDue("short").has_value());
  EXPECT_FALSE(ParseDue(due.substr(0, 24)).has_value());
}

TEST(Keys, ParkedSortsByDomainThenClassThenTenantThenTime) {
  EXPECT_LT(Parked("a.test", 2, "t", 900, kId), Parked("b.test", 0, "t", 1, kId));
  EXPECT_LT(Parked("a.test", 0, "t", 900, kId), Parked("a.test", 1, "t", 2, kId));
  EXPECT_LT(Parked("a.test", 1, "s", 900, kId), Parked("a.test", 1, "t", 1, kId));
  EXPECT_LT(Parked("a.test", 1, "t", 1, kId), Parked("a.test", 1, "t", 2, kId));
  // The NULs keep a name that is the front of another apart from it.
  EXPECT_LT(Parked("a", 2, "t", 900, kId), Parked("a.test", 0, "t", 1, kId));
  EXPECT_LT(Parked("a", 1, "t", ~std::uint64_t{0} >> 1, kId), Parked("a", 1, "tt", 1, kId));
}

TEST(Keys, ParkedIsReadBack) {
  for (const std::string& tenant : {std::string(), std::string("acme"), std::string(255, 't')}) {
    for (const std::string& id : {kId, std::string(16, '\0')}) {
      const std::string key = Parked("a.test", 2, tenant, 77, id);
      EXPECT_EQ(key.substr(0, 9 + tenant.size()), ParkedPrefix("a.test", 2, tenant));
      const auto parts = ParseParked(key);
      ASSERT_TRUE(parts.has_value());
      EXPECT_EQ(parts->domain, "a.test");
      EXPECT_EQ(parts->priority_class, 2);
      EXPECT_EQ(parts->tenant, tenant);
      EXPECT_EQ(parts->micros, 77);
      EXPECT_EQ(parts->id, id);
    }
  }
  EXPECT_FALSE(ParseParked("").has_value());
  EXPECT_FALSE(ParseParked(std::string(40, 'x')).has_value());
  EXPECT_FALSE(ParseParked(std::string(40, '\0')).has_value());
  EXPECT_FALSE(ParseParked(Parked("a.test", 2, "", 77, kId).substr(1 + 6)).has_value());
}

TEST(Keys, PrefixEndCarries) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd(std::string("a\xff", 2)), "b");
  EXPECT_EQ(PrefixEnd("\xff"), "");
  EXPECT_EQ(PrefixEnd(std::string("a\0", 2)), std::string("a\1", 2));
}

TEST(Keys, Big64RoundTrips) {
  for (std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{256}, ~std::uint64_t{0}}) {
    EXPECT_EQ(ReadBig64(Big64(value)), value);
  }
  EXPECT_EQ(ReadBig64("short"), 0);
}

TEST(Keys, TraceAndHeaderShareAFamilyButNotAPrefix) {
  EXPECT_EQ(Trace(kId, 1).substr(0, 17), TracePrefix(kId));
  EXPECT_EQ(Header(3, std::string(16, 'h'), kId).substr(0, 21), HeaderPrefix(3, std::string(16, 'h')));
  EXPECT_NE(TracePrefix("")[0], HeaderPrefix(0, "")[0]);
  EXPECT_EQ(Day(86'400'000'000), 1);
  EXPECT_EQ(Day(86'399'999'999), 0);
}

}  // namespace
}  // namespace hikyaku::queue::keys
