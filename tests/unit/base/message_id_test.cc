#include "lib/base/message_id.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace hikyaku {
namespace {

const absl::Time kNoon = absl::FromUnixMillis(1'700'000'000'123);

TEST(MessageId, TextAndBytesReadBack) {
  const MessageId id = MessageId::Generate(kNoon);
  EXPECT_EQ(id.text().size(), MessageId::kTextLength);
  EXPECT_EQ(MessageId::FromText(id.text()), id);
  EXPECT_EQ(MessageId::FromBytes(id.bytes()), id);
}

TEST(MessageId, KeepsItsTimeToTheMillisecond) { EXPECT_EQ(MessageId::Generate(kNoon).time(), kNoon); }

TEST(MessageId, SortsByTimeInBothForms) {
  const MessageId early = MessageId::Generate(kNoon);
  const MessageId late = MessageId::Generate(kNoon + absl::Milliseconds(1));
  EXPECT_LT(early, late);
  EXPECT_LT(early.text(), late.text());
  EXPECT_LE(MessageId::FirstAt(kNoon), early);
  EXPECT_LT(early, MessageId::FirstAt(kNoon + absl::Milliseconds(1)));
}

TEST(MessageId, NeverRepeatsWithinAMillisecond) {
  std::set<MessageId> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(MessageId::Generate(kNoon));
  EXPECT_EQ(seen.size(), 10'000u);
}

TEST(MessageId, ReadsUpperCase) {
  const MessageId id = MessageId::Generate(kNoon);
  std::string upper = id.text();
  for (char& c : upper) c = static_cast<char>(toupper(c));
  EXPECT_EQ(MessageId::FromText(upper), id);
}

struct BadCase {
  const char* name;
  const char* text;
};

class BadMessageId : public testing::TestWithParam<BadCase> {};

TEST_P(BadMessageId, IsRefused) { EXPECT_EQ(MessageId::FromText(GetParam().text), std::nullopt); }

INSTANTIATE_TEST_SUITE_P(Text, BadMessageId,
                         testing::ValuesIn<BadCase>({
                             {"Empty", ""},
                             {"TooShort", "01hf7yat00000000000000000"},
                             {"TooLong", "01hf7yat0000000000000000000"},
                             {"LetterOutsideTheAlphabet", "01hf7yat00000000000000000u"},
                             {"MoreThan128Bits", "80000000000000000000000000"},
                             {"Path", "../../etc/passwd/........."},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku
