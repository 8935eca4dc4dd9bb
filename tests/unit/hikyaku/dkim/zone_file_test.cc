#include "services/hikyaku/dkim/zone_file.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hikyaku::cli {
namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

TEST(ParseZone, TakesTheFormsThatPeopleWrite) {
  const auto zone = ParseZone(
      "$ORIGIN Example.com.\n$TTL 3600\n"
      "@ IN SOA ns hostmaster ( 1 ; serial\n 2 3 4 5 )\n"
      "k1._domainkey 300 IN TXT ( \"v=DKIM1; k=rsa; \"\n\t\"p=AAAA\" ) ; a comment\n"
      "k2._domainkey.example.net.\tTXT \"say \\\"hi\\\"\" \"\\097;b\"\r\n"
      "              IN 60 TXT \"second\"\n"
      "k3 IN 1 txt bare\n"
      "mail A 192.0.2.1\n\n;only a comment\n");
  ASSERT_TRUE(zone.ok()) << zone.status();
  EXPECT_EQ(zone->at("k1._domainkey.example.com"), Strings{"v=DKIM1; k=rsa; p=AAAA"});
  EXPECT_EQ(zone->at("k2._domainkey.example.net"), (Strings{"say \"hi\"a;b", "second"}));
  EXPECT_EQ(zone->at("k3.example.com"), Strings{"bare"});
  EXPECT_EQ(zone->size(), 3u);
}

TEST(ParseZone, SaysInWhichLineItEnds) {
  EXPECT_THAT(ParseZone("\na. TXT \"x\n\n").status().message(), HasSubstr("line 2: a quote is not closed"));
  EXPECT_THAT(ParseZone("a. TXT ( \"x\"\n").status().message(), HasSubstr("line 1: a parenthesis is not closed"));
  EXPECT_THAT(ParseZone(" TXT \"x\"\n").status().message(), HasSubstr("without a name"));
  EXPECT_TRUE(ParseZone("")->empty());
  EXPECT_TRUE(ParseZone("\"\" \"\"\n")->empty());
}

}  // namespace
}  // namespace hikyaku::cli
