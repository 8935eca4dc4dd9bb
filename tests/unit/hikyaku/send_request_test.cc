#include "services/hikyaku/send_request.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace hikyaku::cli {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

std::string TempFile(const std::string& name, const std::string& content) {
  const std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/", name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(MakeRequest, FillsTheContent) {
  MailFlags flags;
  flags.from = "Shop <shop@example.jp>";
  flags.to = {"a@x.test", "\"B, C\" <b@x.test>"};
  flags.bcc = {"c@x.test"};
  flags.subject = "S";
  flags.text = "T";
  flags.headers = {"X-A: b: c"};
  flags.attach = {TempFile("r.pdf", "%PDF")};
  flags.priority = "bulk";
  flags.not_before = "5m";
  flags.tags = {"t1"};
  flags.require_tls = true;
  const absl::StatusOr<v1::SendMailRequest> request = MakeRequest(flags, kNow);
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::Content& content = request->content();
  EXPECT_EQ(content.from().address(), "shop@example.jp");
  EXPECT_EQ(content.from().display_name(), "Shop");
  EXPECT_EQ(content.to(1).display_name(), "B, C");
  EXPECT_EQ(content.bcc(0).address(), "c@x.test");
  EXPECT_EQ(content.headers(0).name(), "X-A");
  EXPECT_EQ(content.headers(0).value(), "b: c");
  EXPECT_EQ(content.attachments(0).filename(), "r.pdf");
  EXPECT_EQ(content.attachments(0).content_type(), "application/pdf");
  EXPECT_EQ(content.attachments(0).content(), "%PDF");
  EXPECT_EQ(request->priority(), v1::PRIORITY_BULK);
  EXPECT_EQ(request->not_before().seconds(), 1'700'000'300);
  EXPECT_EQ(request->tags(0), "t1");
  EXPECT_TRUE(request->require_tls());
}

TEST(MakeRequest, LeavesBadAddressesToTheServer) {
  MailFlags flags;
  flags.from = "not an address";
  flags.to = {"v@x.test>\r\nRCPT TO:<w@x.test"};
  flags.text = "T";
  const absl::StatusOr<v1::SendMailRequest> request = MakeRequest(flags, kNow);
  EXPECT_EQ(request->content().from().address(), "not an address");
  EXPECT_EQ(request->content().to(0).address(), flags.to[0]);
}

TEST(MakeRequest, TakesAWholeMessage) {
  MailFlags flags;
  flags.from = "a@x.test";
  flags.rcpt = {"b@x.test", "c@x.test"};
  flags.raw = TempFile("m.eml", std::string("Subject: x\r\n\r\n\0y", 16));
  const absl::StatusOr<v1::SendMailRequest> request = MakeRequest(flags, kNow);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->raw().data().size(), 16u);
  EXPECT_EQ(request->raw().recipients_size(), 2);
  EXPECT_EQ(request->envelope_sender(), "a@x.test");
}

TEST(MakeRequest, SaysWhatIsWrongWithTheFlags) {
  MailFlags none;
  none.from = "a@x.test";
  EXPECT_EQ(MakeRequest(none, kNow).status().message(), "there is no recipient: give --to (or --rcpt with --raw)");
  MailFlags empty = none;
  empty.to = {"b@x.test"};
  EXPECT_EQ(MakeRequest(empty, kNow).status().message(),
            "there is nothing to send: give --text, --html, --attach or --raw");
  MailFlags header = empty;
  header.text = "x";
  header.headers = {"nothing"};
  EXPECT_EQ(MakeRequest(header, kNow).status().message(), "--header \"nothing\": write it as 'Name: value'");
  MailFlags missing = empty;
  missing.attach = {"/nonexistent"};
  EXPECT_EQ(MakeRequest(missing, kNow).status().message(), "/nonexistent: No such file or directory");
  MailFlags both = empty;
  both.raw = "x";
  both.text = "y";
  EXPECT_EQ(MakeRequest(both, kNow).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace hikyaku::cli
