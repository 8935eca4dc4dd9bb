// A client that may not relay: every recipient is refused alike (BATTERY 2.3, plain state).
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/smtp/server_session.h"
#include "tests/unit/smtp/server_dialogue.h"

namespace hikyaku::smtp {
namespace {

struct RelayCase {
  const char* name;
  std::string sender;  // With its brackets.
  std::string recipient;
};

class OpenRelay : public testing::TestWithParam<RelayCase> {};

const char kRefusal[] = "550 5.7.1 Relaying denied";

TEST_P(OpenRelay, IsRefusedAtRcpt) {
  ServerDialogue client(Stranger());
  client.Send("EHLO c.test\r\n");
  client.Send(absl::StrCat("MAIL FROM:", GetParam().sender, "\r\n"));
  EXPECT_EQ(client.Send(absl::StrCat("RCPT TO:", GetParam().recipient, "\r\n")), std::vector<int>{550});
  EXPECT_EQ(client.last(), kRefusal);
  EXPECT_EQ(client.Send("DATA\r\n"), std::vector<int>{503});
  EXPECT_EQ(client.Send("BDAT 4 LAST\r\nx\r\n\r\n"), std::vector<int>({503}));
  EXPECT_TRUE(client.mails().empty());
}

TEST_P(OpenRelay, IsRefusedInOneSegment) {
  ServerDialogue client(Stranger());
  const std::vector<int> codes =
      client.Send(absl::StrCat("HELO c.test\r\nMAIL FROM:", GetParam().sender, "\r\nRCPT TO:", GetParam().recipient,
                               "\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"));
  ASSERT_GE(codes.size(), 5u);
  EXPECT_EQ(codes[2], 550);
  EXPECT_EQ(codes[3], 503);
  EXPECT_TRUE(client.mails().empty());
}

// Clients that may relay: no spelling reaches another domain than the one written last.
TEST_P(OpenRelay, TrustedRecipientsStayWhatTheyAre) {
  ServerDialogue client(Trusted());
  client.Send("EHLO c.test\r\nMAIL FROM:<>\r\n");
  const std::vector<int> codes = client.Send(absl::StrCat("RCPT TO:", GetParam().recipient, "\r\n"));
  ASSERT_EQ(codes.size(), 1u);
  if (codes[0] != 250) {
    EXPECT_TRUE(codes[0] == 501 || codes[0] == 550 || codes[0] == 553) << codes[0];
    return;
  }
  client.Send("DATA\r\n.\r\n");
  ASSERT_EQ(client.mails().size(), 1u);
  const address::Address& address = client.mails()[0].recipients.at(0).address;
  EXPECT_EQ(absl::StrCat("<", address.local, "@", address.domain, ">"), GetParam().recipient);
}

INSTANTIATE_TEST_SUITE_P(Battery23, OpenRelay,
                         testing::ValuesIn<RelayCase>({
                             {"R01", "<>", "<v@out.test>"},
                             {"R02", "<s@out.test>", "<v@out.test>"},
                             {"R03", "<s@mx.ours.test>", "<v@out.test>"},
                             {"R04", "<s@[192.0.2.9]>", "<v@out.test>"},
                             {"R06", "<s@localhost>", "<v@out.test>"},
                             {"R07", "<alice@ours.test>", "<v@out.test>"},
                             {"R08", "<s@[192.0.2.9]>", "<v%out.test@mx.ours.test>"},
                             {"R09", "<s@[192.0.2.9]>", "<v%out.test@[192.0.2.9]>"},
                             {"R12", "<s@[192.0.2.9]>", "<v@out.test@mx.ours.test>"},
                             {"R14", "<s@[192.0.2.9]>", "<\"v@out.test\"@mx.ours.test>"},
                             {"R16", "<s@[192.0.2.9]>", "<@mx.ours.test:v@out.test>"},
                             {"R17", "<s@[192.0.2.9]>", "<@[192.0.2.9]:v@out.test>"},
                             {"R19", "<s@[192.0.2.9]>", "<out.test!v>"},
                             {"R20", "<s@[192.0.2.9]>", "<out.test!v@mx.ours.test>"},
                             {"R22", "<s@[192.0.2.9]>", "<v%out.test>"},
                             {"R24", "<s@[192.0.2.9]>", "<v@out.test.>"},
                             {"R27", "<s@[192.0.2.9]>", "v@out.test"},
                             {"R30", "<s@[192.0.2.9]>", "<postmaster>"},
                             {"Ourselves", "<>", "<alice@ours.test>"},
                             {"Nonsense", "<>", "<<>>"},
                             {"Utf8", "<>", "<\xc3\xbc@out.test>"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

// A dictionary of recipients ends the session; a relay tester's dozen does not.
TEST(OpenRelay, TryingForEverEndsTheSession) {
  ServerDialogue client(Stranger());
  client.Send("EHLO c.test\r\nMAIL FROM:<>\r\n");
  int refusals = 0;
  while (!client.closed() && refusals < 1000) {
    if (client.Send("RCPT TO:<v@out.test>\r\n") == std::vector<int>{550}) ++refusals;
  }
  EXPECT_GE(refusals, 50);
  EXPECT_LE(refusals, 100);
}

}  // namespace
}  // namespace hikyaku::smtp
