#include "lib/base/units.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku {
namespace {

struct DurationCase {
  const char* text;
  absl::Duration value;
};

class GoodDuration : public testing::TestWithParam<DurationCase> {};

TEST_P(GoodDuration, ReadsAndReadsBack) {
  const auto value = hikyaku::ParseDuration(GetParam().text);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, GetParam().value);
  EXPECT_EQ(hikyaku::ParseDuration(hikyaku::FormatDuration(*value)).value(), *value);
}

INSTANTIATE_TEST_SUITE_P(Units, GoodDuration,
                         testing::Values(DurationCase{"0", absl::ZeroDuration()}, DurationCase{"5s", absl::Seconds(5)},
                                         DurationCase{"250ms", absl::Milliseconds(250)},
                                         DurationCase{"1h30m", absl::Minutes(90)}, DurationCase{"5d", absl::Hours(120)},
                                         DurationCase{"2w", absl::Hours(336)}));

class BadDuration : public testing::TestWithParam<const char*> {};

TEST_P(BadDuration, IsRefusedWithAnExample) {
  const auto value = hikyaku::ParseDuration(GetParam());
  ASSERT_FALSE(value.ok());
  EXPECT_NE(value.status().message().find("30s"), absl::string_view::npos);
}

INSTANTIATE_TEST_SUITE_P(Text, BadDuration,
                         testing::Values("", "5", "s", "5 s", "-5s", "5x", "1.5h", "99999999999999999999s",
                                         "9223372036854775807d"));

struct SizeCase {
  const char* text;
  std::uint64_t value;
};

class GoodSize : public testing::TestWithParam<SizeCase> {};

TEST_P(GoodSize, ReadsAndReadsBack) {
  const auto value = ParseSize(GetParam().text);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, GetParam().value);
  EXPECT_EQ(ParseSize(FormatSize(*value)).value(), *value);
}

INSTANTIATE_TEST_SUITE_P(Units, GoodSize,
                         testing::Values(SizeCase{"0", 0}, SizeCase{"1B", 1}, SizeCase{"25MiB", 25u << 20},
                                         SizeCase{"4 KiB", 4096}, SizeCase{"10MB", 10'000'000},
                                         SizeCase{"2TiB", 2ull << 40}));

class BadSize : public testing::TestWithParam<const char*> {};

TEST_P(BadSize, IsRefused) { EXPECT_FALSE(ParseSize(GetParam()).ok()); }

INSTANTIATE_TEST_SUITE_P(Text, BadSize, testing::Values("", "5", "MiB", "-1KiB", "1.5GiB", "5mib", "99999999999TiB"));

}  // namespace
}  // namespace hikyaku
