#include "lib/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace hikyaku::metrics {
namespace {

using testing::HasSubstr;

TEST(Metrics, ExpositionShowsValueHelpAndLabels) {
  DeclareCounter("hikyaku_test_things_total", "Things.", {{"kind", "a"}}).Increment(2);
  DeclareCounter("hikyaku_test_things_total", "Things.", {{"kind", "b"}}).Increment();
  DeclareGauge("hikyaku_test_level_bytes", "Level.").Set(7);
  const std::string text = Exposition();
  EXPECT_THAT(text, HasSubstr("# HELP hikyaku_test_things_total Things.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE hikyaku_test_things_total counter\n"));
  EXPECT_THAT(text, HasSubstr("hikyaku_test_things_total{kind=\"a\"} 2"));
  EXPECT_THAT(text, HasSubstr("hikyaku_test_things_total{kind=\"b\"} 1"));
  EXPECT_THAT(text, HasSubstr("hikyaku_test_level_bytes 7"));
}

TEST(Metrics, HistogramCountsIntoBuckets) {
  Histogram& sizes = DeclareHistogram("hikyaku_test_group_size", "Sizes.", CountBuckets());
  sizes.Observe(1);
  sizes.Observe(100);
  const std::string text = Exposition();
  EXPECT_THAT(text, HasSubstr("hikyaku_test_group_size_count 2"));
  EXPECT_THAT(text, HasSubstr("hikyaku_test_group_size_bucket{le=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("hikyaku_test_group_size_bucket{le=\"128\"} 2"));
}

TEST(Metrics, SameNameAndLabelsAreTheSameMetric) {
  Counter& first = DeclareCounter("hikyaku_test_same_total", "Same.");
  EXPECT_EQ(&first, &DeclareCounter("hikyaku_test_same_total", "Same."));
}

TEST(Metrics, HooksRunBeforeExpositionAndEndWithTheirHandle) {
  Gauge& depth = DeclareGauge("hikyaku_test_depth", "Depth.");
  int runs = 0;
  {
    const ScrapeHook hook([&] { depth.Set(++runs); });
    EXPECT_THAT(Exposition(), HasSubstr("hikyaku_test_depth 1"));
  }
  EXPECT_THAT(Exposition(), HasSubstr("hikyaku_test_depth 1"));
  EXPECT_EQ(runs, 1);
}

TEST(MetricsDeathTest, WrongNamesAndTypesAreBugs) {
  EXPECT_DEATH(DeclareCounter("other_total", "x"), "kPrefix");
  EXPECT_DEATH(DeclareCounter("hikyaku_bad-name_total", "x"), "hikyaku_bad-name_total");
  EXPECT_DEATH(
      {
        DeclareCounter("hikyaku_test_two_total", "x");
        DeclareGauge("hikyaku_test_two_total", "x");
      },
      "hikyaku_test_two_total");
}

}  // namespace
}  // namespace hikyaku::metrics
