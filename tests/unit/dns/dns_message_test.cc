#include "lib/dns/dns_message.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lib/base/random.h"
#include "tests/unit/dns/message_builder.h"

namespace hikyaku::dns {
namespace {

address::IpAddress Ip(const char* text) { return *address::IpAddress::Parse(text); }

TEST(DnsMessage, MxRecordsWithTheirSmallestTtl) {
  const std::string message = MessageBuilder("Example.TEST", RecordType::kMx)
                                  .Mx("example.test", 600, 10, "MX1.example.test")
                                  .Mx("example.test", 300, 0, "")
                                  .Authenticated()
                                  .Build();
  const auto response = ParseResponse(message, "example.test", RecordType::kMx);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->records.size(), 2u);
  EXPECT_EQ(response->records[0].preference, 10);
  EXPECT_EQ(response->records[0].text, "mx1.example.test");
  EXPECT_EQ(response->records[1].text, "");
  EXPECT_EQ(response->ttl, absl::Seconds(300));
  EXPECT_TRUE(response->authenticated);
}

TEST(DnsMessage, AddressesOfBothFamilies) {
  const std::string a = MessageBuilder("h.test", RecordType::kA).Address("h.test", 5, "192.0.2.1").Build();
  EXPECT_EQ(ParseResponse(a, "h.test", RecordType::kA)->records[0].address, Ip("192.0.2.1"));
  const std::string aaaa = MessageBuilder("h.test", RecordType::kAaaa).Address("h.test", 5, "2001:db8::1").Build();
  EXPECT_EQ(ParseResponse(aaaa, "h.test", RecordType::kAaaa)->records[0].address, Ip("2001:db8::1"));
}

TEST(DnsMessage, TextStringsAreJoined) {
  const std::string message =
      MessageBuilder("t.test", RecordType::kTxt).Txt("t.test", 5, {"v=spf1 ", "", "-all"}).Build();
  EXPECT_EQ(ParseResponse(message, "t.test", RecordType::kTxt)->records[0].text, "v=spf1 -all");
}

TEST(DnsMessage, AliasesAreFollowedInAnyOrderAndBoundTheTtl) {
  const std::string message = MessageBuilder("a.test", RecordType::kA)
                                  .Address("c.test", 500, "192.0.2.1")
                                  .Name("b.test", 20, RecordType::kCname, "c.test")
                                  .Name("a.test", 100, RecordType::kCname, "b.test")
                                  .Build();
  const auto response = ParseResponse(message, "a.test", RecordType::kA);
  ASSERT_EQ(response->records.size(), 1u);
  EXPECT_EQ(response->ttl, absl::Seconds(20));
}

TEST(DnsMessage, TheNameAtTheEndOfTheAliasesIsTold) {
  MessageBuilder builder("a.test", RecordType::kA);
  const std::string message =
      builder.Name("a.test", 9, RecordType::kCname, "b.test").Address("b.test", 9, "192.0.2.1").Build();
  EXPECT_EQ(ParseResponse(message, "a.test", RecordType::kA)->name, "b.test");
  const auto alias = ParseResponse(message, "a.test", RecordType::kCname);
  ASSERT_EQ(alias->records.size(), 1u);
  EXPECT_EQ(alias->records[0].text, "b.test");
  EXPECT_EQ(alias->name, "a.test");
}

// That a record is there counts, even where it cannot be used: none is dropped, and none is a reason to fail.
TEST(DnsMessage, TlsaRecordsComeWhateverTheyHold) {
  const std::string huge = "\3" + std::string(kMaxTlsaRecord, '\0');
  MessageBuilder builder("t.test", RecordType::kTlsa);
  const std::string message =
      builder.Tlsa("t.test", 9, std::string("\3\1\1hash")).Tlsa("t.test", 9, "").Tlsa("t.test", 9, huge).Build();
  const auto response = ParseResponse(message, "t.test", RecordType::kTlsa);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->records.size(), 3u);
  EXPECT_EQ(response->records[0].text, "\3\1\1hash");
  EXPECT_EQ(response->records[1].text, "");
  EXPECT_EQ(response->records[2].text, std::string("\3\0\0", 3));
}

TEST(DnsMessage, SixteenAliasesAreFollowed) {
  for (const int count : {kMaxAliases, kMaxAliases + 1}) {
    MessageBuilder builder("a0.test", RecordType::kA);
    const auto name = [](int i) { return "a" + std::to_string(i) + ".test"; };
    for (int i = 0; i < count; ++i) builder.Name(name(i), 5, RecordType::kCname, name(i + 1));
    const auto response = ParseResponse(builder.Address(name(count), 5, "192.0.2.1").Build(), "a0.test", RecordType::kA);
    EXPECT_EQ(response.ok(), count == kMaxAliases) << response.status();
  }
}

TEST(DnsMessage, RecordsOfOtherNamesAreIgnored) {
  const std::string message = MessageBuilder("a.test", RecordType::kA)
                                  .Address("victim.test", 5, "192.0.2.66")
                                  .Address("a.test", 5, "192.0.2.1")
                                  .Build();
  const auto response = ParseResponse(message, "a.test", RecordType::kA);
  ASSERT_EQ(response->records.size(), 1u);
  EXPECT_EQ(response->records[0].address, Ip("192.0.2.1"));
}

TEST(DnsMessage, NegativeTtlIsTheSmallerOfTheSoasTwo) {
  const std::string message =
      MessageBuilder("a.test", RecordType::kA).Code(3).Soa("test", /*ttl=*/900, /*minimum=*/60).Build();
  const auto response = ParseResponse(message, "a.test", RecordType::kA);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->code, ResponseCode::kNxDomain);
  EXPECT_EQ(response->negative_ttl, absl::Seconds(60));
}

TEST(DnsMessage, ServersBesideTheSoaAreNoReferral) {
  for (const int code : {0, 3}) {
    const std::string message =
        MessageBuilder("a.test", RecordType::kA).Code(code).Servers("test").Soa("test", 9, 9).Build();
    EXPECT_TRUE(ParseResponse(message, "a.test", RecordType::kA).ok());
  }
}

TEST(DnsMessage, CompressionPointersAreFollowed) {
  std::string message = MessageBuilder("a.test", RecordType::kA).Address("a.test", 5, "192.0.2.1").Build();
  // The owner `a.test` (8 bytes at 24) becomes a pointer to the question's name at 12.
  message.replace(24, 8, std::string("\xC0\x0C", 2));
  const auto response = ParseResponse(message, "a.test", RecordType::kA);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->records.size(), 1u);
}

struct DamageCase {
  const char* name;
  std::string message;
};

std::vector<DamageCase> Damaged() {
  const std::string good = MessageBuilder("a.test", RecordType::kA).Address("a.test", 5, "192.0.2.1").Build();
  std::string loop = good, forward = good, query = good, label = good, short_address = good;
  loop.replace(24, 8, std::string("\xC0\x18", 2));  // A pointer to itself.
  forward.replace(24, 8, std::string("\xFF\xFF", 2));
  query[2] = 0;
  label[12] = '\x80';
  short_address[good.size() - 5] = 3;
  const auto none = [] { return MessageBuilder("a.test", RecordType::kA); };
  return {{"Empty", ""},
          {"OnlyHalfAHeader", good.substr(0, 11)},
          {"NotAResponse", query},
          {"PointerLoop", loop},
          {"PointerOutside", forward},
          {"ReservedLabelType", label},
          {"AddressOfThreeBytes", short_address},
          {"CutAlsoOverTcp", none().Cut().Build()},
          {"Referral", none().Servers("test").Build()},
          {"AliasThatEndsInAReferral", none().Name("a.test", 5, RecordType::kCname, "b.test").Servers("test").Build()},
          {"AliasLoop", none()
                            .Name("a.test", 5, RecordType::kCname, "b.test")
                            .Name("b.test", 5, RecordType::kCname, "a.test")
                            .Build()},
          {"LargerThanTcpCarries", std::string(70000, '\0')}};
}

class DnsMessageDamage : public testing::TestWithParam<DamageCase> {};

TEST_P(DnsMessageDamage, IsRefused) {
  EXPECT_EQ(ParseResponse(GetParam().message, "a.test", RecordType::kA).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Rfc1035Section41, DnsMessageDamage, testing::ValuesIn(Damaged()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DnsMessage, EveryTruncationIsRefusedOrHarmless) {
  const std::string good = MessageBuilder("a.test", RecordType::kMx).Mx("a.test", 5, 10, "mx.a.test").Build();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseResponse(good.substr(0, size), "a.test", RecordType::kMx).ok()) << size;
  }
}

TEST(DnsMessage, RandomDamageDoesNoHarm) {
  const std::string good = MessageBuilder("a.test", RecordType::kTxt)
                               .Name("a.test", 5, RecordType::kCname, "b.test")
                               .Txt("b.test", 5, {"some", "text"})
                               .Soa("test", 5, 5)
                               .Build();
  for (int round = 0; round < 20000; ++round) {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[RandomBelow(bad.size())] = static_cast<char>(RandomBelow(256));
    (void)ParseResponse(bad, "a.test", RecordType::kTxt);
  }
}

TEST(DnsMessage, ManyRecordsAreCutAtTheLimit) {
  MessageBuilder builder("a.test", RecordType::kMx);
  for (int i = 0; i < 1500; ++i) builder.Mx("a.test", 5, 10, "m.test");
  const auto response = ParseResponse(builder.Build(), "a.test", RecordType::kMx);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->records.size(), kMaxRecords);
}

struct NameCase {
  const char* name;
  std::string text;
  const char* normal;  // Null: refused.
};

class DnsName : public testing::TestWithParam<NameCase> {};

TEST_P(DnsName, IsNormalisedOrRefused) {
  const auto normal = NormaliseName(GetParam().text);
  if (GetParam().normal == nullptr) {
    EXPECT_EQ(normal.status().code(), absl::StatusCode::kInvalidArgument);
  } else {
    ASSERT_TRUE(normal.ok()) << normal.status();
    EXPECT_EQ(*normal, GetParam().normal);
  }
}

INSTANTIATE_TEST_SUITE_P(Names, DnsName,
                         testing::ValuesIn<NameCase>({
                             {"LowerCase", "Example.COM", "example.com"},
                             {"TrailingDotGoes", "example.com.", "example.com"},
                             {"Underscore", "_dmarc.example.com", "_dmarc.example.com"},
                             {"Label63", std::string(63, 'a'),
                              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
                             {"Label64", std::string(64, 'a'), nullptr},
                             {"TooLong", std::string(127, 'a') + "." + std::string(127, 'a'), nullptr},
                             {"Empty", "", nullptr},
                             {"Root", ".", nullptr},
                             {"EmptyLabel", "a..b", nullptr},
                             {"Space", "a b.test", nullptr},
                             {"Escape", "a\\046b.test", nullptr},
                             {"Nul", std::string("a\0b", 3), nullptr},
                             {"NotAscii", "b\xC3\xBC.test", nullptr},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DnsMessage, ReverseNames) {
  EXPECT_EQ(ReverseName(Ip("192.0.2.1")), "1.2.0.192.in-addr.arpa");
  EXPECT_EQ(ReverseName(Ip("2001:db8::1")), "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

}  // namespace
}  // namespace hikyaku::dns
