#include "lib/mta_sts/memory.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::mta_sts {
namespace {

Known WithId(const std::string& id, std::size_t hosts = 1) {
  KeptPolicy kept;
  kept.id = id;
  kept.policy.mx.assign(hosts, "mx.example.test");
  Known known;
  known.policy = std::make_shared<const KeptPolicy>(std::move(kept));
  return known;
}

std::string IdOf(Memory& memory, const std::string& domain) {
  const Known known = memory.Get(domain);
  return known.policy ? known.policy->id : "";
}

TEST(Memory, RemembersTheLastWord) {
  Memory memory;
  EXPECT_EQ(IdOf(memory, "a.test"), "");
  memory.Set("a.test", WithId("1"));
  memory.Set("a.test", WithId("2"));
  EXPECT_EQ(IdOf(memory, "a.test"), "2");
  EXPECT_EQ(memory.size(), 1u);
}

TEST(Memory, ForgetsWhatWasNotAskedForLongest) {
  Memory memory(/*max_domains=*/2);
  memory.Set("a.test", WithId("1"));
  memory.Set("b.test", WithId("2"));
  EXPECT_EQ(IdOf(memory, "a.test"), "1");
  memory.Set("c.test", WithId("3"));
  EXPECT_EQ(IdOf(memory, "b.test"), "");
  EXPECT_EQ(IdOf(memory, "a.test"), "1");
  EXPECT_EQ(memory.size(), 2u);
}

// A domain chooses how large its policy is.
TEST(Memory, IsBoundedInOctets) {
  Memory memory(/*max_domains=*/1'000'000, /*max_bytes=*/1 << 20);
  for (int i = 0; i < 1'000; ++i) {
    memory.Set(absl::StrCat("d", i, ".test"), WithId("1", Policy::kMaxHosts));
    ASSERT_LE(memory.bytes(), std::size_t{1} << 20);
  }
  EXPECT_GT(memory.size(), 20u);
  EXPECT_EQ(IdOf(memory, "d999.test"), "1");
  Memory small(10, 100);
  small.Set("a.test", WithId("1"));
  EXPECT_EQ(IdOf(small, "a.test"), "1") << "one always has room";
}

}  // namespace
}  // namespace hikyaku::mta_sts
