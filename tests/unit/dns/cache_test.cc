#include "lib/dns/cache.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/dns/message_builder.h"

namespace hikyaku::dns {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const Question kQuestion{"a.test", RecordType::kA};

struct TtlCase {
  const char* name;
  absl::StatusOr<std::string> message;
  absl::StatusCode code;
  absl::Duration kept;
};

std::vector<TtlCase> TtlCases() {
  const auto answer = [](std::uint32_t ttl) {
    return MessageBuilder("a.test", RecordType::kA).Address("a.test", ttl, "192.0.2.1").Build();
  };
  MessageBuilder negative("a.test", RecordType::kA);
  MessageBuilder with_soa = negative;
  with_soa.Soa("test", 10, 900);
  MessageBuilder long_soa = negative;
  long_soa.Soa("test", 9000, 9000);
  MessageBuilder no_name = negative;
  no_name.Code(3);
  MessageBuilder refused = negative;
  refused.Code(5);
  using absl::StatusCode;
  return {{"RecordsKeepTheirTtl", answer(300), StatusCode::kOk, absl::Seconds(300)},
          {"TtlZeroIsOneSecond", answer(0), StatusCode::kOk, absl::Seconds(1)},
          {"LongTtlIsCapped", answer(86400), StatusCode::kOk, absl::Hours(1)},
          {"NoDataKeepsTheSoasTtl", with_soa.Build(), StatusCode::kOk, absl::Seconds(10)},
          {"NoDataIsCapped", long_soa.Build(), StatusCode::kOk, absl::Seconds(30)},
          {"NoSuchNameWithoutSoa", no_name.Build(), StatusCode::kNotFound, absl::Seconds(1)},
          {"OtherCodesAreFailures", refused.Build(), StatusCode::kUnavailable, absl::Seconds(1)},
          {"DamageIsAFailure", std::string("x"), StatusCode::kUnavailable, absl::Seconds(1)},
          {"TimeoutIsKeptShortly", absl::DeadlineExceededError("t"), StatusCode::kDeadlineExceeded, absl::Seconds(1)},
          {"ServerFailureIsKeptShortly", absl::UnavailableError("s"), StatusCode::kUnavailable, absl::Seconds(1)}};
}

class CacheTtl : public testing::TestWithParam<TtlCase> {};

TEST_P(CacheTtl, IsKept) {
  const Result result = MakeResult(kQuestion, GetParam().message, kNow, CacheOptions());
  EXPECT_EQ(result.status.code(), GetParam().code);
  EXPECT_EQ(result.expires - kNow, GetParam().kept);
}

INSTANTIATE_TEST_SUITE_P(Rfc2308, CacheTtl, testing::ValuesIn(TtlCases()),
                         [](const auto& info) { return std::string(info.param.name); });

// Anybody can set the bit: it counts only from servers that the operator vouches for.
TEST(CacheProof, AdIsBelievedOnlyWhereTheServersAre) {
  MessageBuilder builder("a.test", RecordType::kA);
  const std::string message = builder.Address("a.test", 60, "192.0.2.1").Authenticated().Build();
  CacheOptions options;
  EXPECT_FALSE(MakeResult(kQuestion, message, kNow, options).authenticated);
  options.believe_ad = true;
  EXPECT_TRUE(MakeResult(kQuestion, message, kNow, options).authenticated);
}

std::shared_ptr<const Result> ResultUntil(absl::Time expires, std::string text = "") {
  auto result = std::make_shared<Result>();
  result->expires = expires;
  result->records.push_back({{}, 0, std::move(text)});
  return result;
}

TEST(Cache, ForgetsWhatHasExpired) {
  Cache cache{CacheOptions()};
  cache.Insert(kQuestion, ResultUntil(kNow + absl::Seconds(5)));
  EXPECT_NE(cache.Find(kQuestion, kNow + absl::Seconds(4)), nullptr);
  EXPECT_EQ(cache.Find({"a.test", RecordType::kAaaa}, kNow), nullptr);
  EXPECT_EQ(cache.Find(kQuestion, kNow + absl::Seconds(5)), nullptr);
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(Cache, DropsTheLeastRecentlyUsedAtItsLimit) {
  CacheOptions options;
  options.max_entries = 2;
  Cache cache(options);
  cache.Insert({"a", RecordType::kA}, ResultUntil(kNow + absl::Hours(1)));
  cache.Insert({"b", RecordType::kA}, ResultUntil(kNow + absl::Hours(1)));
  EXPECT_NE(cache.Find({"a", RecordType::kA}, kNow), nullptr);
  cache.Insert({"c", RecordType::kA}, ResultUntil(kNow + absl::Hours(1)));
  EXPECT_EQ(cache.Find({"b", RecordType::kA}, kNow), nullptr);
  EXPECT_NE(cache.Find({"a", RecordType::kA}, kNow), nullptr);
}

TEST(Cache, BoundsItsMemoryWhateverTheAnswersHold) {
  CacheOptions options;
  options.max_bytes = 1 << 20;
  Cache cache(options);
  for (int i = 0; i < 1000; ++i) {
    cache.Insert({absl::StrCat("n", i), RecordType::kTxt}, ResultUntil(kNow + absl::Hours(1), std::string(8192, 'x')));
    EXPECT_LE(cache.bytes(), options.max_bytes);
  }
  EXPECT_GT(cache.size(), 50u);
}

}  // namespace
}  // namespace hikyaku::dns
