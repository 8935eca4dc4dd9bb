#include "services/hikyaku/dkim/keygen.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/dkim/key_record.h"
#include "services/hikyaku/dkim/zone_file.h"

namespace hikyaku::cli {
namespace {

using testing::HasSubstr;

KeygenOptions Options(const std::string& domain, const std::string& selector) {
  std::string pattern = absl::StrCat(std::getenv("TEST_TMPDIR"), "/keygen.XXXXXX");
  return {.domain = domain, .selector = selector, .folder = mkdtemp(pattern.data())};
}

std::string Read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Keygen, WritesAKeyThatOnlyItsOwnerReadsAndShowsItsRecord) {
  for (const bool ed25519 : {false, true}) {
    KeygenOptions options = Options("Example.COM", "K1");
    options.ed25519 = ed25519;
    const auto made = MakeKey(options);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->path, absl::StrCat(options.folder, "/k1.example.com.pem"));
    struct stat stamp = {};
    ASSERT_EQ(stat(made->path.c_str(), &stamp), 0);
    EXPECT_EQ(stamp.st_mode & 07777, 0600u);
    const auto key = crypto::SigningKey::FromPem(Read(made->path));
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ(key->type(), ed25519 ? crypto::KeyType::kEd25519 : crypto::KeyType::kRsa);
    const auto zone = ParseZone(absl::StrCat(made->record, "\n"));
    ASSERT_TRUE(zone.ok()) << zone.status();
    EXPECT_EQ(zone->at("k1._domainkey.example.com"), std::vector<std::string>{dkim::FormatKeyRecord(*key)});
    for (const absl::string_view piece : absl::StrSplit(made->record, '"')) EXPECT_LE(piece.size(), 255u);
  }
}

TEST(Keygen, OverwritesNothing) {
  KeygenOptions options = Options("example.com", "k1");
  options.ed25519 = true;
  const auto first = MakeKey(options);
  ASSERT_TRUE(first.ok());
  const std::string before = Read(first->path);
  const auto second = MakeKey(options);
  EXPECT_TRUE(absl::IsAlreadyExists(second.status()));
  EXPECT_THAT(second.status().message(), HasSubstr("choose another selector"));
  EXPECT_EQ(Read(first->path), before);
}

TEST(Keygen, RefusesWhatIsNoNameOrTooWeak) {
  EXPECT_THAT(MakeKey(Options("not a domain", "k1")).status().message(), HasSubstr("is no domain"));
  EXPECT_THAT(MakeKey(Options("example.com", "../k1")).status().message(), HasSubstr("is no selector"));
  KeygenOptions weak = Options("example.com", "k1");
  weak.bits = 1024;
  EXPECT_THAT(MakeKey(weak).status().message(), HasSubstr("1024 bits"));
  KeygenOptions nowhere = Options("example.com", "k1");
  nowhere.ed25519 = true;
  nowhere.folder = "/nowhere";
  EXPECT_TRUE(absl::IsUnavailable(MakeKey(nowhere).status()));
}

}  // namespace
}  // namespace hikyaku::cli
