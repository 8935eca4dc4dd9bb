#include "services/hikyaku/sink/keeper.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::sink {
namespace {

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Mail Sample() {
  Mail mail;
  mail.helo = "c.test";
  mail.esmtp = true;
  mail.sender = *address::ParseAddress("s@c.test");
  mail.recipients = {*address::ParseAddress("a@x.test"), *address::ParseAddress("\"q\\\"q\"@x.test")};
  mail.data = "Subject: Hi \x1b[2J\r\nx-hikyaku-TOKEN:  t-1 \r\n\r\nSubject: body\r\n";
  return mail;
}

TEST(Keeper, SavesAndLogsAMail) {
  const std::string dir = absl::StrCat(std::getenv("TEST_TMPDIR"), "/keeper");
  std::filesystem::create_directories(dir);
  absl::StatusOr<std::unique_ptr<Keeper>> keeper =
      Keeper::Open({.maildir = dir + "/mail", .log = dir + "/log", .fsync = true, .print = false});
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  const net::Endpoint end = *net::ParseEndpoint("127.0.0.1:25");
  ASSERT_TRUE((*keeper)->Keep(Sample(), end, end).ok());
  ASSERT_TRUE((*keeper)->Keep(Sample(), end, end).ok());

  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir + "/mail/new")) {
    EXPECT_EQ(Read(entry.path()), Sample().data);
    ++files;
  }
  EXPECT_EQ(files, 2);
  EXPECT_TRUE(std::filesystem::is_empty(dir + "/mail/tmp"));
  const std::string log = Read(dir + "/log");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2);
  EXPECT_TRUE(absl::StrContains(log, "\"sender\":\"s@c.test\""));
  EXPECT_TRUE(absl::StrContains(log, R"("recipients":["a@x.test","\"q\\\"q\"@x.test"])")) << log;
  EXPECT_TRUE(absl::StrContains(log, "\"token\":\"t-1\""));
  EXPECT_TRUE(absl::StrContains(log, "\"subject\":\"Hi \\u001b[2J\"")) << log;
  EXPECT_TRUE(absl::StrContains(log, "\"sha256\":\""));
  EXPECT_EQ((*keeper)->counts().mails, 2u);
  EXPECT_EQ((*keeper)->counts().recipients, 4u);
}

TEST(Keeper, SaysWhatCannotBeUsed) {
  EXPECT_EQ(Keeper::Open({.maildir = "/nonexistent/mail"}).status().message(),
            "/nonexistent/mail: cannot be made: No such file or directory");
  EXPECT_EQ(Keeper::Open({.log = "/nonexistent/log"}).status().message(),
            "/nonexistent/log: cannot be opened: No such file or directory");
}

TEST(FieldOf, ReadsTheHeaderOnly) {
  EXPECT_EQ(FieldOf("A: 1\r\nB: 2\r\n\r\nC: 3\r\n", "b"), "2");
  EXPECT_EQ(FieldOf("A: 1\r\n\r\nC: 3\r\n", "C"), "");
  EXPECT_EQ(FieldOf("AB: 1\r\n", "A"), "");
  EXPECT_EQ(FieldOf("A:", "A"), "");
  EXPECT_EQ(FieldOf("", "A"), "");
}

}  // namespace
}  // namespace hikyaku::sink
