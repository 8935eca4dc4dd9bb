#include "lib/config/nearest.h"

#include <gtest/gtest.h>

namespace hikyaku::config {
namespace {

TEST(EditDistance, CountsSlips) {
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", "abc"), 0u);
  EXPECT_EQ(EditDistance("message_sise", "message_size"), 1u);
  EXPECT_EQ(EditDistance("hsotname", "hostname"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(Nearest, IsOfferedForASlipOnly) {
  const std::vector<std::string> words = {"hostname", "data_dir", "limits"};
  EXPECT_EQ(Nearest("hostnam", words), "hostname");
  EXPECT_EQ(Nearest("limit", words), "limits");
  EXPECT_EQ(Nearest("zebra", words), "");
  EXPECT_EQ(Nearest("", words), "");
  EXPECT_EQ(Nearest(std::string(1 << 20, 'h'), words), "");
}

TEST(Suggest, ListsTheWordsWhereNoneIsNear) {
  EXPECT_EQ(Suggest("hostnam", {"hostname"}), "did you mean hostname?");
  EXPECT_EQ(Suggest("zebra", {"hostname", "limits"}), "write one of hostname, limits");
}

}  // namespace
}  // namespace hikyaku::config
