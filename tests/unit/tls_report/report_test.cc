#include "lib/tls_report/report.h"

#include "absl/time/civil_time.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace hikyaku::tls_report {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using storage::v1::TlsReportRow;

ReportFrame Frame() {
  ReportFrame frame;
  frame.organization = "Ours \"& Co\" GmbH";
  frame.contact = "tls@ours.test";
  frame.domain = "x.test";
  frame.day_start = absl::FromCivil(absl::CivilDay(2026, 11, 26), absl::UTCTimeZone());
  frame.report_id = "1@ours.test";
  return frame;
}

TlsReportRow Row(const char* type, const char* result, std::uint64_t count) {
  TlsReportRow row;
  row.set_count(count);
  row.mutable_session()->set_policy_type(type);
  row.mutable_session()->set_policy_domain("x.test");
  row.mutable_session()->set_result_type(result);
  return row;
}

Struct Parsed(const std::string& json) {
  Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

const Value& At(const Struct& object, const char* name) { return object.fields().at(name); }
const Struct& Object(const Value& list, int i) { return list.list_value().values(i).struct_value(); }

TEST(ReportRfc8460Section44, HasItsFrame) {
  const Struct report = Parsed(BuildReport(Frame(), {Row(kNoPolicy, "", 1)}));
  EXPECT_EQ(At(report, "organization-name").string_value(), "Ours \"& Co\" GmbH");
  EXPECT_EQ(At(report, "contact-info").string_value(), "tls@ours.test");
  EXPECT_EQ(At(report, "report-id").string_value(), "1@ours.test");
  const Struct& range = At(report, "date-range").struct_value();
  EXPECT_EQ(At(range, "start-datetime").string_value(), "2026-11-26T00:00:00Z");
  EXPECT_EQ(At(range, "end-datetime").string_value(), "2026-11-26T23:59:59Z");
  EXPECT_EQ(report.fields_size(), 5);
}

TEST(ReportRfc8460Section44, GroupsByPolicyAndSums) {
  TlsReportRow sts = Row(kSts, "", 5344);
  sts.mutable_session()->add_policy_strings("version: STSv1");
  sts.mutable_session()->add_policy_strings("mode: testing");
  sts.mutable_session()->add_mx_patterns("*.mail.x.test");
  TlsReportRow expired = sts;
  expired.set_count(100);
  expired.mutable_session()->set_result_type(kExpired);
  expired.mutable_session()->set_sending_ip("2001:db8::1");
  expired.mutable_session()->set_receiving_host("mx1.mail.x.test");
  expired.mutable_session()->set_receiving_ip("192.0.2.1");
  expired.mutable_session()->set_receiving_helo("mx1");
  expired.mutable_session()->set_reason("expired on 2026-11-01");
  TlsReportRow again = expired;  // From the same host, asked for at another address of the report: the same failure.
  again.mutable_session()->add_report_to("mailto:b@x.test");
  again.set_count(1);
  const Struct report = Parsed(BuildReport(Frame(), {sts, Row(kNoPolicy, kStartTlsNotSupported, 2), expired, again}));

  const Value& policies = At(report, "policies");
  ASSERT_EQ(policies.list_value().values_size(), 2);
  const Struct& policy = At(Object(policies, 0), "policy").struct_value();
  EXPECT_EQ(At(policy, "policy-type").string_value(), "sts");
  EXPECT_EQ(At(policy, "policy-domain").string_value(), "x.test");
  EXPECT_EQ(At(policy, "policy-string").list_value().values(1).string_value(), "mode: testing");
  EXPECT_EQ(At(policy, "mx-host").list_value().values(0).string_value(), "*.mail.x.test");
  const Struct& summary = At(Object(policies, 0), "summary").struct_value();
  EXPECT_EQ(At(summary, "total-successful-session-count").number_value(), 5344);
  EXPECT_EQ(At(summary, "total-failure-session-count").number_value(), 101);
  const Value& failures = At(Object(policies, 0), "failure-details");
  ASSERT_EQ(failures.list_value().values_size(), 1);
  const Struct& failure = Object(failures, 0);
  EXPECT_EQ(At(failure, "result-type").string_value(), "certificate-expired");
  EXPECT_EQ(At(failure, "sending-mta-ip").string_value(), "2001:db8::1");
  EXPECT_EQ(At(failure, "receiving-mx-hostname").string_value(), "mx1.mail.x.test");
  EXPECT_EQ(At(failure, "receiving-mx-helo").string_value(), "mx1");
  EXPECT_EQ(At(failure, "receiving-ip").string_value(), "192.0.2.1");
  EXPECT_EQ(At(failure, "failed-session-count").number_value(), 101);
  EXPECT_EQ(At(failure, "failure-reason-code").string_value(), "expired on 2026-11-01");

  const Struct& none = At(Object(policies, 1), "policy").struct_value();
  EXPECT_EQ(At(none, "policy-type").string_value(), "no-policy-found");
  EXPECT_EQ(none.fields().count("policy-string"), 0u);
  EXPECT_EQ(none.fields().count("mx-host"), 0u);
  EXPECT_EQ(Object(At(Object(policies, 1), "failure-details"), 0).fields_size(), 2);
}

TEST(ReportRfc8460Section44, CountsAreNumbersAndNoFailureIsNoList) {
  const std::string json = BuildReport(Frame(), {Row(kTlsa, "", 3'000'000'000)});
  EXPECT_NE(json.find("\"total-successful-session-count\":3000000000"), std::string::npos) << json;
  EXPECT_NE(json.find("\"total-failure-session-count\":0"), std::string::npos) << json;
  EXPECT_EQ(json.find("failure-details"), std::string::npos) << json;
}

}  // namespace
}  // namespace hikyaku::tls_report
