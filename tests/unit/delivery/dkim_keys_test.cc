#include "lib/delivery/dkim_keys.h"

#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/delivery/key_files.h"

namespace hikyaku::delivery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DkimKeysTest : public testing::Test {
 protected:
  DkimOptions Options(std::vector<DkimRow> rows) const { return {files_.folder(), std::move(rows)}; }

  // Selectors that sign for `domain`.
  static std::vector<std::string> Selectors(const DkimKeys& keys, const std::string& domain) {
    std::vector<std::string> selectors;
    if (const DkimKeyList* list = keys.Find(domain)) {
      for (const auto& key : *list) selectors.push_back(key->selector);
    }
    return selectors;
  }

  KeyFiles files_;
};

TEST_F(DkimKeysTest, TheNearestRowSigns) {
  files_.Make("k1.example.com.pem");
  files_.Make("k2.example.com.pem");
  files_.Make("n1.news.example.com.pem");
  files_.Make("x.relay.test.pem");
  const auto keys = DkimKeys::Load(Options({{"example.com", "example.com", {"k1", "k2"}},
                                            {"news.example.com", "news.example.com", {"n1"}},
                                            {"*", "relay.test", {"x"}}}),
                                   nullptr);
  EXPECT_THAT(Selectors(*keys, "example.com"), ElementsAre("k1", "k2"));
  EXPECT_THAT(Selectors(*keys, "a.b.example.com"), ElementsAre("k1", "k2"));
  EXPECT_THAT(Selectors(*keys, "news.example.com"), ElementsAre("n1"));
  EXPECT_THAT(Selectors(*keys, "x.news.example.com"), ElementsAre("n1"));
  EXPECT_THAT(Selectors(*keys, "notexample.com"), ElementsAre("x"));
  EXPECT_THAT(Selectors(*keys, "com"), ElementsAre("x"));
  EXPECT_THAT(Selectors(*keys, ""), ElementsAre("x"));
  EXPECT_EQ(keys->Find("other.test")->front()->signatory->domain, "relay.test");
  EXPECT_EQ(keys->all().size(), 4u);
}

TEST_F(DkimKeysTest, WithoutARowNobodySigns) {
  files_.Make("k1.example.com.pem");
  const auto keys = DkimKeys::Load(Options({{"example.com", "example.com", {"k1"}}}), nullptr);
  EXPECT_EQ(keys->Find("example.net"), nullptr);
  EXPECT_EQ(keys->Find(""), nullptr);
}

TEST_F(DkimKeysTest, WhatIsWrongWithAFileIsSaid) {
  files_.Write("wrong.example.com.pem", "-----BEGIN NOTHING-----\n");
  files_.Write("large.example.com.pem", std::string(100'000, 'x'));
  mkdir(files_.Path("folder.example.com.pem").c_str(), 0700);
  ASSERT_EQ(mkfifo(files_.Path("pipe.example.com.pem").c_str(), 0600), 0);
  const auto keys = DkimKeys::Load(
      Options({{"example.com", "example.com", {"missing", "wrong", "large", "folder", "pipe"}}}), nullptr);
  std::vector<std::string> why;
  for (const auto& key : keys->all()) {
    EXPECT_FALSE(key->signatory.ok());
    why.emplace_back(key->file.message());
  }
  EXPECT_THAT(why, ElementsAre(HasSubstr("No such file"), HasSubstr("no private key in PEM"), HasSubstr("64KiB"),
                               HasSubstr("is no file"), HasSubstr("is no file")));
}

TEST_F(DkimKeysTest, OpenPermissionsAreNoticed) {
  files_.Make("k1.example.com.pem");
  const DkimOptions options = Options({{"example.com", "example.com", {"k1"}}});
  EXPECT_FALSE(DkimKeys::Load(options, nullptr)->all()[0]->exposed);
  chmod(files_.Path("k1.example.com.pem").c_str(), 0640);
  EXPECT_FALSE(DkimKeys::Load(options, nullptr)->all()[0]->exposed);
  chmod(files_.Path("k1.example.com.pem").c_str(), 0644);
  EXPECT_TRUE(DkimKeys::Load(options, nullptr)->all()[0]->exposed);
}

class DkimKeyringTest : public DkimKeysTest {
 protected:
  // The public half of what signs for example.com now; "" when nothing does.
  static std::string Public(const DkimKeyring& keyring) {
    const auto keys = keyring.Get();
    const auto& signatory = keys->Find("example.com")->front()->signatory;
    return signatory.ok() ? signatory->key.PublicKey() : "";
  }

  DkimOptions options_ = Options({{"example.com", "example.com", {"k1"}}});
};

TEST_F(DkimKeyringTest, ANewFileIsTakenOver) {
  const std::string first = files_.Make("k1.example.com.pem").PublicKey();
  DkimKeyring keyring(options_);
  EXPECT_EQ(Public(keyring), first);
  const auto before = keyring.Get();
  keyring.Reread();
  EXPECT_EQ(keyring.Get(), before);  // Nothing changed: nothing was read.
  const std::string second = files_.Make("k1.example.com.pem").PublicKey();
  keyring.Reread();
  EXPECT_EQ(Public(keyring), second);
  EXPECT_NE(first, second);
}

TEST_F(DkimKeyringTest, TheOldKeySignsOnWhileTheFileIsWrongOrGone) {
  const std::string first = files_.Make("k1.example.com.pem").PublicKey();
  DkimKeyring keyring(options_);
  files_.Write("k1.example.com.pem", "half a k");
  keyring.Reread();
  EXPECT_EQ(Public(keyring), first);
  EXPECT_FALSE(keyring.Get()->all()[0]->file.ok());
  unlink(files_.Path("k1.example.com.pem").c_str());
  keyring.Reread();
  EXPECT_EQ(Public(keyring), first);
  keyring.Update(options_);
  EXPECT_EQ(Public(keyring), first);
  const std::string second = files_.Make("k1.example.com.pem").PublicKey();
  keyring.Reread();
  EXPECT_EQ(Public(keyring), second);
}

TEST_F(DkimKeyringTest, AKeyThatWasNeverReadSignsNothingUntilItIs) {
  DkimKeyring keyring(options_);
  EXPECT_EQ(Public(keyring), "");
  keyring.Reread();
  EXPECT_EQ(Public(keyring), "");
  const std::string first = files_.Make("k1.example.com.pem").PublicKey();
  keyring.Reread();
  EXPECT_EQ(Public(keyring), first);
}

// As Kubernetes mounts a Secret: the name is a link by way of ..data, which is what changes.
TEST_F(DkimKeyringTest, ALinkThatIsTurnedIsSeen) {
  const auto turn = [this](const std::string& version) {
    mkdir(files_.Path(version).c_str(), 0700);
    const std::string shown = files_.Make(absl::StrCat(version, "/k1.example.com.pem")).PublicKey();
    EXPECT_EQ(symlink(version.c_str(), files_.Path("..data_tmp").c_str()), 0);
    rename(files_.Path("..data_tmp").c_str(), files_.Path("..data").c_str());
    return shown;
  };
  const std::string first = turn("..2026_a");
  ASSERT_EQ(symlink("..data/k1.example.com.pem", files_.Path("k1.example.com.pem").c_str()), 0);
  DkimKeyring keyring(options_);
  EXPECT_EQ(Public(keyring), first);
  const std::string second = turn("..2026_b");
  keyring.Reread();
  EXPECT_EQ(Public(keyring), second);
}

TEST_F(DkimKeyringTest, RowsAreReplaced) {
  files_.Make("k1.example.com.pem");
  files_.Make("k2.example.net.pem");
  DkimKeyring keyring(options_);
  keyring.Update(Options({{"example.net", "example.net", {"k2"}}}));
  EXPECT_EQ(keyring.Get()->Find("example.com"), nullptr);
  EXPECT_NE(keyring.Get()->Find("example.net"), nullptr);
}

}  // namespace
}  // namespace hikyaku::delivery
