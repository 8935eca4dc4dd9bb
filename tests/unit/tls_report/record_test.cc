#include "lib/tls_report/record.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::tls_report {
namespace {

TEST(RecordRfc8460Section3, OneRecordWithItsAddresses) {
  struct Case {
    const char* name;
    std::vector<std::string> texts;
    std::vector<std::string> uris;  // Empty: no record.
  };
  const std::vector<Case> cases = {
      {"Mailto", {"v=TLSRPTv1;rua=mailto:r@x.test"}, {"mailto:r@x.test"}},
      {"BlanksAndEnd", {"v=TLSRPTv1; \trua=mailto:r@x.test ; "}, {"mailto:r@x.test"}},
      {"BlankBeforeTheDelimiter", {"v=TLSRPTv1 ;rua=mailto:r@x.test"}, {"mailto:r@x.test"}},
      {"Two", {"v=TLSRPTv1; rua=mailto:r@x.test , https://x.test/v1"}, {"mailto:r@x.test", "https://x.test/v1"}},
      {"UnknownFieldsArePassedOver", {"v=TLSRPTv1; ext=1; rua=mailto:r@x.test; b=2"}, {"mailto:r@x.test"}},
      {"OtherRecordsArePassedOver", {"v=spf1 -all", "v=TLSRPTv1; rua=mailto:r@x.test", ""}, {"mailto:r@x.test"}},
      {"UnknownSchemeIsPassedOver", {"v=TLSRPTv1; rua=ftp:x, mailto:r@x.test"}, {"mailto:r@x.test"}},
      {"TwoRecordsAreNone", {"v=TLSRPTv1; rua=mailto:r@x.test", "v=TLSRPTv1; rua=mailto:r@x.test"}, {}},
      {"OtherCase", {"V=tlsrptv1; rua=mailto:r@x.test"}, {}},
      {"OtherVersion", {"v=TLSRPTv12; rua=mailto:r@x.test"}, {}},
      {"VersionNotFirst", {"rua=mailto:r@x.test; v=TLSRPTv1"}, {}},
      {"NoAddress", {"v=TLSRPTv1;"}, {}},
      {"EmptyAddress", {"v=TLSRPTv1; rua="}, {}},
      {"VersionAlone", {"v=TLSRPTv1"}, {}},
      {"RuaTwice", {"v=TLSRPTv1; rua=mailto:r@x.test; rua=mailto:s@x.test"}, {}},
      {"LineBreakInAddress", {"v=TLSRPTv1; rua=mailto:r@x.test\r\nBcc: v@x.test"}, {}},
      {"Nothing", {}, {}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(ParseRecord(c.texts).value_or(std::vector<std::string>()), c.uris) << c.name;
  }
}

TEST(RecordRfc8460Section3, IsBounded) {
  std::string many = "v=TLSRPTv1; rua=mailto:r@x.test";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, ",mailto:r", i, "@x.test");
  ASSERT_TRUE(ParseRecord({many}).has_value());
  EXPECT_EQ(ParseRecord({many})->size(), kMaxAddresses);
  EXPECT_FALSE(ParseRecord({absl::StrCat("v=TLSRPTv1; rua=mailto:r@x.test; x=", std::string(5000, 'x'))}).has_value());
}

TEST(Mailto, IsOneAddress) {
  EXPECT_EQ(MailtoAddress("mailto:r@x.test")->ToString(), "r@x.test");
  EXPECT_EQ(MailtoAddress("MAILTO:tls%2Drpt@X.Test?subject=x")->ToString(), "tls-rpt@x.test");
  EXPECT_EQ(MailtoAddress("mailto:a%2Cb@x.test").has_value(), false);
  for (const char* bad :
       {"https://x.test/", "mailto:", "mailto:x", "mailto:a@x.test,b@x.test", "mailto:a%@x.test", "mailto:a%4@x.test",
        "mailto:a%0d%0a@x.test", "mailto:a@[192.0.2.1]", "mailto:%C3%BC@x.test", "r@x.test"}) {
    EXPECT_FALSE(MailtoAddress(bad).has_value()) << bad;
  }
}

TEST(RecordNames, AreBelowTheDomain) { EXPECT_EQ(RecordName("x.test"), "_smtp._tls.x.test"); }

}  // namespace
}  // namespace hikyaku::tls_report
