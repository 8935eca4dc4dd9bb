// Signatures in an attempt: what is signed, when, and what becomes of mail that cannot be.
#include "lib/delivery/signing.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/delivery/attempt.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/verifier.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/delivery/key_files.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

using outcome::Kind;
using outcome::Outcome;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

class AlwaysHeld : public LeaseGuard {
 public:
  bool Begin() override { return true; }
  bool alive() const override { return true; }
};

constexpr char kMail[] = "From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n";

class SigningTest : public testing::Test {
 protected:
  SigningTest() {
    options_.helo = "us.test";
    resolver_.SetMx("d.test", {{10, "mx1.test"}, {20, "mx2.test"}});
    resolver_.SetAddresses("mx1.test", {"11.0.0.1"});
    resolver_.SetAddresses("mx2.test", {"11.0.0.2"});
  }

  ~SigningTest() override {
    quits_.Cancel();
    dialer_->Cancel();
    while (dialer_->connections() + quits_.size() > 0) {
      context_.restart();
      context_.run_one();
    }
  }

  void Configure(std::vector<DkimRow> rows) {
    keyring_ = std::make_unique<DkimKeyring>(DkimOptions{files_.folder(), std::move(rows)});
    options_.keyring = keyring_.get();
  }

  Outcome Deliver(const queue::Lease& lease) {
    auto network = std::make_shared<Network>();
    network->dialer = dialer_;
    network->routes = RouteTable(25);
    AlwaysHeld guard;
    Attempt attempt({options_, network, resolver_, pool_, clock_}, lease, guard);
    EXPECT_EQ(net::RunTask(context_, attempt.Run()), Attempt::End::kJudged);
    return attempt.outcomes().at(0);
  }
  Outcome Deliver(const std::string& mail) { return Deliver(MakeLease("d.test", {"b@d.test"}, mail)); }

  // The verdicts on a mail as it arrived.
  Strings Check(const std::string& mail) {
    Strings lines;
    const auto keys = keyring_->Get();
    const auto verdicts =
        dkim::Verify(mail, absl::ToUnixSeconds(clock_.Now()), [&](const std::string& name) -> dkim::KeyAnswer {
          for (const auto& key : keys->all()) {
            if (absl::StrCat(key->selector, "._domainkey.", key->domain) != name) continue;
            return Strings{dkim::FormatKeyRecord(key->signatory->key)};
          }
          return absl::NotFoundError("no key");
        });
    EXPECT_TRUE(verdicts.ok()) << verdicts.status();
    for (const dkim::Verdict& verdict : *verdicts) lines.push_back(verdict.ToString());
    return lines;
  }

  boost::asio::io_context context_;
  KeyFiles files_;
  std::unique_ptr<DkimKeyring> keyring_;
  AttemptOptions options_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>();
  FakeClock clock_;
  net::TaskGroup quits_;
  ConnectionPool pool_{PoolOptions(), clock_, quits_, context_.get_executor()};
};

TEST_F(SigningTest, TheMailArrivesSignedByEachSelector) {
  files_.Make("k1.example.com.pem");
  files_.Make("k2.example.com.pem");
  Configure({{"example.com", "example.com", {"k1", "k2"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25");
  EXPECT_EQ(Deliver(kMail).kind, Kind::kDelivered);
  ASSERT_EQ(mx1->bodies().size(), 1u);
  EXPECT_TRUE(absl::EndsWith(mx1->bodies()[0], kMail));
  EXPECT_EQ(Check(mx1->bodies()[0]), (Strings{"pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)",
                                              "pass: d=example.com s=k2 a=ed25519-sha256 (256 bits)"}));
  EXPECT_THAT(mx1->bodies()[0], HasSubstr(absl::StrCat("t=", absl::ToUnixSeconds(clock_.Now()))));
}

TEST_F(SigningTest, WithoutARowTheMailIsAsItWas) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25");
  const std::string mail = "From: a@example.net\r\n\r\nhello\r\n";
  EXPECT_EQ(Deliver(mail).kind, Kind::kDelivered);
  EXPECT_EQ(mx1->bodies(), (Strings{mail}));
}

TEST_F(SigningTest, TheDomainIsThatOfFrom) {
  files_.Make("k1.example.com.pem");
  files_.Make("u.xn--bcher-kva.test.pem");
  files_.Make("x.relay.test.pem");
  Configure({{"example.com", "example.com", {"k1"}},
             {"xn--bcher-kva.test", "xn--bcher-kva.test", {"u"}},
             {"*", "relay.test", {"x"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25", {"8BITMIME", "SMTPUTF8"});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"From: \"a@example.net\" <b@EXAMPLE.COM>", "example.com"},
      {"From: a@news.example.com", "example.com"},
      {"From: =?utf-8?q?A?=\r\n <a@example.com>", "example.com"},
      {"From: a@other.test, b@example.com", "example.com"},
      {"From: a@b\xc3\xbc\x63her.test", "xn--bcher-kva.test"},
      {"From: a@other.test", "relay.test"},
      {"From: a@[192.0.2.1]", "relay.test"},
      {"Sender: s@example.com\r\nFrom: a@other.test", "relay.test"},
  };
  for (const auto& [from, domain] : cases) {
    queue::Lease lease = MakeLease("d.test", {"b@d.test"}, absl::StrCat(from, "\r\n\r\nhello\r\n"));
    lease.delivery.mutable_envelope()->set_smtputf8(true);
    lease.delivery.mutable_envelope()->set_eight_bit(true);
    EXPECT_EQ(Deliver(lease).kind, Kind::kDelivered);
    const Strings verdicts = Check(mx1->bodies().back());
    ASSERT_EQ(verdicts.size(), 1u) << from;
    EXPECT_THAT(verdicts[0], HasSubstr(absl::StrCat("pass: d=", domain))) << from;
  }
}

// RFC 6376 §5.3: what is sent is signed, so the conversion comes first.
TEST_F(SigningTest, AConvertedMailIsSignedAsItIsSent) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25", {"8BITMIME"});
  mx1->On("MAIL", {"451 4.3.0 later"});
  auto mx2 = dialer_->Listen("11.0.0.2:25");
  const std::string mail =
      "From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: 8bit\r\n\r\nZ\xc3\xbcrich\r\n";
  queue::Lease lease = MakeLease("d.test", {"b@d.test"}, mail);
  lease.delivery.mutable_envelope()->set_eight_bit(true);
  EXPECT_EQ(Deliver(lease).kind, Kind::kDelivered);
  ASSERT_EQ(mx2->bodies().size(), 1u);
  EXPECT_EQ(mx2->bodies()[0].find("Z\xc3\xbcrich"), std::string::npos);
  EXPECT_EQ(Check(mx2->bodies()[0]), (Strings{"pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)"}));
}

TEST_F(SigningTest, OneSignatureServesAllTransactions) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1"}}});
  options_.recipients_per_transaction = 1;
  auto mx1 = dialer_->Listen("11.0.0.1:25");
  Deliver(MakeLease("d.test", {"b@d.test", "c@d.test"}, kMail));
  ASSERT_EQ(mx1->bodies().size(), 2u);
  EXPECT_EQ(mx1->bodies()[0], mx1->bodies()[1]);
}

TEST_F(SigningTest, ASignatureOfTheSenderStays) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25");
  Deliver(absl::StrCat("DKIM-Signature: v=1; d=elsewhere.test; nothing\r\n", kMail));
  const Strings verdicts = Check(mx1->bodies().at(0));
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_THAT(verdicts[0], HasSubstr("pass: d=example.com"));
  EXPECT_THAT(verdicts[1], HasSubstr("permerror"));
}

TEST_F(SigningTest, ALargeBodyIsHashedInPartsAndStillPasses) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1"}}});
  auto mx1 = dialer_->Listen("11.0.0.1:25", {"CHUNKING"});
  std::string mail = kMail;
  while (mail.size() < 3 * Signing::kSlice) absl::StrAppend(&mail, "a  line \t with blanks\t\r\n\r\n");
  EXPECT_EQ(Deliver(mail).kind, Kind::kDelivered);
  EXPECT_EQ(Check(mx1->bodies().at(0)), (Strings{"pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)"}));
}

// The decision of the design: mail of a domain whose key cannot be used waits, and no host is even asked.
TEST_F(SigningTest, WithoutItsKeyTheMailWaits) {
  files_.Make("k1.example.com.pem");
  Configure({{"example.com", "example.com", {"k1", "k2"}}, {"*", "relay.test", {"x"}}});
  dialer_->Listen("11.0.0.1:25");
  const Outcome outcome = Deliver(kMail);
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.5");
  EXPECT_EQ(outcome.remote_host, "");
  EXPECT_THAT(outcome.text, HasSubstr("selector k2 of domain example.com"));
  EXPECT_THAT(outcome.text, HasSubstr("No such file"));
  EXPECT_THAT(Deliver("From: a@other.test\r\n\r\nx\r\n").text, HasSubstr("selector x of domain relay.test"));
  EXPECT_EQ(dialer_->dialled(), Strings{});
  files_.Make("k2.example.com.pem");
  keyring_->Reread();
  EXPECT_EQ(Deliver(kMail).kind, Kind::kDelivered);
}

TEST_F(SigningTest, AFromThatCannotBeReadWaits) {
  Configure({{"example.com", "example.com", {"k1"}}});
  for (const char* mail : {"Subject: no From\r\n\r\nx\r\n", "From: <\r\n\r\nx\r\n", "no colon\r\n\r\nx\r\n"}) {
    const Outcome outcome = Deliver(mail);
    EXPECT_EQ(outcome.kind, Kind::kTransient) << mail;
    EXPECT_EQ(outcome.enhanced.ToString(), "4.7.5") << mail;
  }
}

}  // namespace
}  // namespace hikyaku::delivery
