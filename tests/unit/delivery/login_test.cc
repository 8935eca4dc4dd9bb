#include "lib/delivery/login.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

using outcome::FromReply;
using outcome::Scope;

class LoginTest : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(file_, std::ios::trunc) << text; }

  absl::StatusOr<Login::Ready> Get() { return login_.Get(now_); }

  void Refuse(std::uint64_t id) {
    login_.Refused(id, FromReply(Scope::kHost, 535, "5.7.8", "bad login", "relay"), now_);
  }

  const std::string file_ = absl::StrCat(std::getenv("TEST_TMPDIR"), "/password");
  Login login_{{"me", file_, {}, false}, "delivery.routes[0] (*)"};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

TEST_F(LoginTest, TheFirstLineIsThePassword) {
  Write("secret\r\na comment\n");
  const auto ready = Get();
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_EQ(ready->credentials.user, "me");
  EXPECT_EQ(ready->credentials.password, "secret");
  EXPECT_NE(ready->id, 0u);
}

TEST_F(LoginTest, ChangeOfTheFileIsSeenWithinASecond) {
  Write("first\n");
  const std::uint64_t id = Get()->id;
  Write("second and longer\n");
  EXPECT_EQ(Get()->credentials.password, "first") << "looked at a moment ago";
  now_ += absl::Seconds(1);
  EXPECT_EQ(Get()->credentials.password, "second and longer");
  EXPECT_NE(Get()->id, id) << "connections of the first are of no use";
}

TEST_F(LoginTest, TouchedFileOfTheSamePasswordKeepsConnections) {
  Write("first\n");
  const std::uint64_t id = Get()->id;
  Write("first\nand a comment\n");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Get()->id, id);
}

TEST_F(LoginTest, WhatIsWrongWithTheFileIsToldWithoutThePassword) {
  std::remove(file_.c_str());
  EXPECT_EQ(Get().status().message(),
            absl::StrCat("password_file ", file_, " cannot be read: No such file or directory"));
  Write("");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Get().status().message(), absl::StrCat("password_file ", file_, " the password is empty"));
  Write("s\xff\xff\n");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Get().status().message(), absl::StrCat("password_file ", file_, " the password is not UTF-8"));
  Write("good\n");
  now_ += absl::Seconds(1);
  EXPECT_TRUE(Get().ok());
}

TEST_F(LoginTest, RefusedLoginRestsLongerAndLonger) {
  Write("wrong\n");
  const std::uint64_t id = Get()->id;
  EXPECT_EQ(login_.Resting(now_), std::nullopt);
  for (const absl::Duration rest :
       {absl::Minutes(1), absl::Minutes(2), absl::Minutes(4), absl::Minutes(8), absl::Minutes(15), absl::Minutes(15)}) {
    Refuse(id);
    Refuse(id);  // Another one that was under way: the rest does not double.
    now_ += rest - absl::Seconds(1);
    ASSERT_NE(login_.Resting(now_), std::nullopt) << rest;
    EXPECT_EQ(login_.Resting(now_)->smtp_code, 535);
    now_ += absl::Seconds(1);
    EXPECT_EQ(login_.Resting(now_), std::nullopt) << rest;
  }
  login_.Succeeded(id);
  Refuse(id);
  EXPECT_EQ(login_.Resting(now_ + absl::Minutes(1)), std::nullopt) << "it began anew";
}

TEST_F(LoginTest, NewPasswordEndsTheRest) {
  Write("wrong\n");
  const std::uint64_t id = Get()->id;
  Refuse(id);
  Write("right one\n");
  now_ += absl::Seconds(1);
  EXPECT_TRUE(Get().ok());
  EXPECT_EQ(login_.Resting(now_), std::nullopt);
  Refuse(id);
  EXPECT_EQ(login_.Resting(now_), std::nullopt) << "the refusal was of the old one";
}

}  // namespace
}  // namespace hikyaku::delivery
