#include "lib/outcome/bounce_class.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku::outcome {
namespace {

struct Row {
  const char* name;
  int smtp_code;
  const char* enhanced;
  const char* text;
  BounceClass cls;
};

class BounceClassOf : public testing::TestWithParam<Row> {};

TEST_P(BounceClassOf, IsFound) {
  const Row& row = GetParam();
  const EnhancedCode enhanced = ParseEnhancedCode(row.enhanced).value_or(EnhancedCode());
  EXPECT_EQ(BounceClassName(Classify(row.smtp_code, enhanced, row.text)), BounceClassName(row.cls));
}

INSTANTIATE_TEST_SUITE_P(
    TellingCode, BounceClassOf,
    testing::ValuesIn<Row>({
        {"Success", 250, "2.0.0", "ok", BounceClass::kNone},
        {"SuccessWithSpamInText", 250, "", "spamfilter queued it", BounceClass::kNone},
        {"NoSuchMailbox", 550, "5.1.1", "spam", BounceClass::kInvalidRecipient},
        {"NxDomainOfOurs", 0, "5.1.2", "no such domain", BounceClass::kBadDomain},
        {"NullMx", 0, "5.1.10", "null MX", BounceClass::kBadDomain},
        {"MailboxFull", 452, "4.2.2", "", BounceClass::kQuotaIssue},
        {"MailboxDisabled", 550, "5.2.1", "", BounceClass::kInactiveMailbox},
        {"MailboxBusy", 450, "4.2.1", "", BounceClass::kTransientFailure},
        {"NoAnswer", 0, "4.4.1", "", BounceClass::kNoAnswerFromHost},
        {"BrokenConnection", 0, "4.4.2", "", BounceClass::kBadConnection},
        {"DnsOut", 0, "4.4.3", "", BounceClass::kDnsFailure},
        {"Loop", 0, "5.4.6", "", BounceClass::kRoutingError},
        {"Expired", 0, "5.4.7", "", BounceClass::kMessageExpired},
        {"TooManyRecipients", 452, "4.5.3", "", BounceClass::kTooManyRecipients},
        {"MessageTooBig", 552, "5.3.4", "", BounceClass::kPolicyRelated},
        {"GmailDmarc", 550, "5.7.26", "", BounceClass::kAuthenticationFailed},
        {"MicrosoftBanned", 550, "5.7.606", "Access denied, banned sending IP", BounceClass::kSpamBlock},
        {"MicrosoftRelay", 550, "5.7.64", "TenantAttribution; Relay Access Denied", BounceClass::kRelayDenied},
        {"SmtpUtf8", 550, "5.6.7", "", BounceClass::kProtocolError},
    }),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Text, BounceClassOf,
    testing::ValuesIn<Row>({
        {"PostfixRelay", 554, "5.7.1", "<v@out.test>: Relay access denied", BounceClass::kRelayDenied},
        {"PostfixUnknown", 550, "", "Recipient address rejected: User unknown", BounceClass::kInvalidRecipient},
        {"FilterNameIsNoReason", 550, "", "spamfilter1.ok.test: no such user", BounceClass::kInvalidRecipient},
        {"UnknownDomain", 550, "", "sorry, domain does not exist here", BounceClass::kBadDomain},
        {"SenderDomain", 450, "4.7.1", "Sender address rejected: Domain not found", BounceClass::kInvalidSender},
        {"Spamhaus", 554, "5.7.1", "Service unavailable; blocked using zen.spamhaus.org", BounceClass::kSpamBlock},
        {"YahooComplaints", 421, "4.7.0", "[TSS04] deferred due to user complaints", BounceClass::kSpamBlock},
        {"SpamMessage", 554, "5.7.1", "This looks like spam", BounceClass::kSpamContent},
        {"Greylisted", 450, "4.7.1", "Greylisted, please try again in 300 s", BounceClass::kTransientFailure},
        {"Dmarc", 550, "5.7.1", "rejected by the DMARC policy of ours.test", BounceClass::kAuthenticationFailed},
        {"Quota", 552, "", "the user is over quota", BounceClass::kQuotaIssue},
        {"DiskOfTheServer", 452, "", "Insufficient system storage", BounceClass::kTransientFailure},
        {"Executable", 552, "5.7.0", "blocked attachment x.exe", BounceClass::kProhibitedAttachment},
        {"VagueCodeClearText", 550, "5.0.0", "mailbox is full", BounceClass::kQuotaIssue},
    }),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(LastResort, BounceClassOf,
                         testing::ValuesIn<Row>({
                             {"VaguePolicy", 550, "5.7.1", "no", BounceClass::kPolicyRelated},
                             {"VagueAddress", 550, "5.1.0", "no", BounceClass::kInvalidRecipient},
                             {"UnknownCommand", 500, "", "what", BounceClass::kProtocolError},
                             {"AuthNeeded", 530, "", "no", BounceClass::kAuthenticationFailed},
                             {"DoesNotTakeMail", 556, "", "no", BounceClass::kBadDomain},
                             {"TransientAndSilent", 451, "", "", BounceClass::kTransientFailure},
                             {"PermanentAndSilent", 550, "", "", BounceClass::kUndetermined},
                             {"NothingAtAll", 0, "", "", BounceClass::kUndetermined},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(BounceClassNames, AreReadBack) {
  for (int value = 0; value <= 21; ++value) {
    const BounceClass cls = static_cast<BounceClass>(value);
    EXPECT_EQ(ParseBounceClass(BounceClassName(cls)), cls) << value;
  }
  EXPECT_EQ(BounceClassName(static_cast<BounceClass>(99)), "Undetermined");
  EXPECT_EQ(ParseBounceClass("nonsense"), std::nullopt);
}

}  // namespace
}  // namespace hikyaku::outcome
