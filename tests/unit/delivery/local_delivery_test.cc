#include "lib/delivery/local_delivery.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

namespace fs = std::filesystem;
using outcome::Kind;
using outcome::Outcome;

class LocalDelivery : public testing::Test {
 protected:
  LocalDelivery() { fs::remove_all(root_); }

  Outcome Run(const std::string& to, const queue::Lease& lease, Maildir* maildir) {
    const RouteTable table = *RouteTable::Create({{"d.test", to}}, 25);
    const NextHop hop = table.Route({"d.test"});
    return net::RunTask(context_, DeliverLocally(hop, lease, maildir));
  }

  Outcome Run(const std::string& to) {
    Maildir maildir(root_);
    return Run(to, lease_, &maildir);
  }

  std::vector<std::string> Files(const std::string& folder) {
    std::vector<std::string> files;
    if (!fs::exists(root_ + "/" + folder)) return files;
    for (const auto& entry : fs::directory_iterator(root_ + "/" + folder)) files.push_back(entry.path());
    return files;
  }

  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  boost::asio::io_context context_;
  const std::string root_ = absl::StrCat(std::getenv("TEST_TMPDIR"), "/capture/root");
  queue::Lease lease_ = MakeLease("d.test", {"b@d.test", "c@d.test"});
};

TEST_F(LocalDelivery, DiscardAndReject) {
  EXPECT_EQ(Run("discard:", lease_, nullptr).ToString(), "2.0.0 discarded by a route");
  EXPECT_TRUE(Run("discard:", lease_, nullptr).final_delivery);
  const Outcome rejected = Run("error:5.1.6 has moved", lease_, nullptr);
  EXPECT_EQ(rejected.kind, Kind::kPermanent);
  EXPECT_EQ(rejected.ToString(), "5.1.6 has moved");
}

TEST_F(LocalDelivery, CapturesTheEnvelopeAndTheMail) {
  lease_.delivery.mutable_envelope()->set_tenant("shop");
  const Outcome stored = Run("maildir:a/b");
  EXPECT_EQ(stored.kind, Kind::kDelivered) << stored.ToString();
  EXPECT_EQ(stored.text, absl::StrCat("stored in the Maildir ", root_, "/a/b"));
  EXPECT_TRUE(stored.final_delivery);
  const auto files = Files("a/b/new");
  ASSERT_EQ(files.size(), 1u);
  const std::string text = Read(files[0]);
  const std::string head =
      "Return-Path: <a@sender.test>\r\nX-Envelope-From: <a@sender.test>\r\nX-Envelope-To: <b@d.test>\r\n"
      "X-Envelope-To: <c@d.test>\r\nX-Hikyaku-Id: ";
  EXPECT_EQ(text.substr(0, head.size()), head);
  EXPECT_TRUE(absl::EndsWith(text, "\r\nX-Hikyaku-Tenant: shop\r\nSubject: x\r\n\r\nhello\r\n")) << text;
  EXPECT_TRUE(Files("a/b/tmp").empty());
  struct stat info;
  ASSERT_EQ(stat(files[0].c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LocalDelivery, TheSameDeliveryTwiceIsOneFile) {
  EXPECT_EQ(Run("maildir:a").kind, Kind::kDelivered);
  EXPECT_EQ(Run("maildir:a").kind, Kind::kDelivered);
  EXPECT_EQ(Files("a/new").size(), 1u);
  lease_.delivery.set_domain("e.test");
  EXPECT_EQ(Run("maildir:a").kind, Kind::kDelivered);
  EXPECT_EQ(Files("a/new").size(), 2u) << "the part for another domain is another file";
}

TEST_F(LocalDelivery, FullPathBelowTheRoot) {
  EXPECT_EQ(Run("maildir:" + root_ + "/x").kind, Kind::kDelivered);
  EXPECT_EQ(Files("x/new").size(), 1u);
}

TEST_F(LocalDelivery, NothingLeadsOutOfTheRoot) {
  fs::create_directories(root_);
  const std::string outside = absl::StrCat(std::getenv("TEST_TMPDIR"), "/outside");
  fs::create_directories(outside);
  fs::create_symlink(outside, root_ + "/link");
  fs::create_directories(root_ + "/box/tmp");
  fs::create_symlink(outside, root_ + "/box/new");
  for (const char* to : {"maildir:link", "maildir:box", "maildir:/elsewhere/x"}) {
    const Outcome outcome = Run(to);
    EXPECT_EQ(outcome.kind, Kind::kTransient) << to;
    EXPECT_EQ(outcome.enhanced.ToString(), "4.3.0");
  }
  EXPECT_TRUE(fs::is_empty(outside));
}

TEST_F(LocalDelivery, WithoutAFolderTheMailWaits) {
  const Outcome outcome = Run("maildir:a", lease_, nullptr);
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_TRUE(absl::StrContains(outcome.text, "delivery.maildir_root is not set")) << outcome.text;
}

TEST_F(LocalDelivery, AFileInTheWayIsTold) {
  fs::create_directories(root_);
  std::ofstream(root_ + "/a") << "x";
  const Outcome outcome = Run("maildir:a");
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_TRUE(absl::StrContains(outcome.text, "Not a directory")) << outcome.text;
}

TEST_F(LocalDelivery, ControlsInAnAddressMakeNoLine) {
  lease_.delivery.mutable_envelope()->set_sender("a\r\nX-Evil: 1@sender.test");
  EXPECT_EQ(Run("maildir:a").kind, Kind::kDelivered);
  EXPECT_TRUE(absl::StartsWith(Read(Files("a/new").at(0)), "Return-Path: <a??X-Evil: 1@sender.test>\r\n"));
}

}  // namespace
}  // namespace hikyaku::delivery
