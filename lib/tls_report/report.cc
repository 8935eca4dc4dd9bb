#include "lib/tls_report/report.h"

#include <algorithm>
#include <cstdint>

#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "lib/base/check.h"

namespace hikyaku::tls_report {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using storage::v1::TlsReportRow;
using storage::v1::TlsSession;

// All that went alike under one policy.
struct Policy {
  const TlsSession* session;  // Any of its sessions.
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  std::vector<TlsReportRow> failures;
};

template <typename Texts>
bool SameTexts(const Texts& a, const Texts& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool SamePolicy(const TlsSession& a, const TlsSession& b) {
  return a.policy_type() == b.policy_type() && a.policy_domain() == b.policy_domain() &&
         SameTexts(a.policy_strings(), b.policy_strings()) && SameTexts(a.mx_patterns(), b.mx_patterns());
}

bool SameFailure(const TlsSession& a, const TlsSession& b) {
  return a.result_type() == b.result_type() && a.sending_ip() == b.sending_ip() &&
         a.receiving_host() == b.receiving_host() && a.receiving_ip() == b.receiving_ip() &&
         a.receiving_helo() == b.receiving_helo() && a.reason() == b.reason();
}

void AddFailure(const TlsReportRow& row, std::vector<TlsReportRow>* failures) {
  for (TlsReportRow& known : *failures) {
    if (!SameFailure(known.session(), row.session())) continue;
    known.set_count(known.count() + row.count());
    return;
  }
  failures->push_back(row);
}

std::vector<Policy> ByPolicy(const std::vector<TlsReportRow>& rows) {
  std::vector<Policy> policies;
  for (const TlsReportRow& row : rows) {
    auto policy = std::find_if(policies.begin(), policies.end(),
                               [&row](const Policy& p) { return SamePolicy(*p.session, row.session()); });
    if (policy == policies.end()) policy = policies.insert(policy, Policy{&row.session()});
    if (row.session().result_type().empty()) {
      policy->good += row.count();
    } else {
      policy->bad += row.count();
      AddFailure(row, &policy->failures);
    }
  }
  return policies;
}

void Set(Struct* object, const char* name, const std::string& text) {
  (*object->mutable_fields())[name].set_string_value(text);
}

// Where it is known.
void SetKnown(Struct* object, const char* name, const std::string& text) {
  if (!text.empty()) Set(object, name, text);
}

// Whole numbers up to 2^53 are written as such.
void Set(Struct* object, const char* name, std::uint64_t number) {
  (*object->mutable_fields())[name].set_number_value(static_cast<double>(number));
}

Struct* Object(Struct* parent, const char* name) { return (*parent->mutable_fields())[name].mutable_struct_value(); }

ListValue* List(Struct* parent, const char* name) { return (*parent->mutable_fields())[name].mutable_list_value(); }

template <typename Texts>
void SetTexts(Struct* object, const char* name, const Texts& texts) {
  if (texts.empty()) return;
  ListValue* list = List(object, name);
  for (const std::string& text : texts) list->add_values()->set_string_value(text);
}

void WriteFailure(const TlsReportRow& row, Struct* failure) {
  const TlsSession& session = row.session();
  Set(failure, "result-type", session.result_type());
  SetKnown(failure, "sending-mta-ip", session.sending_ip());
  SetKnown(failure, "receiving-mx-hostname", session.receiving_host());
  SetKnown(failure, "receiving-mx-helo", session.receiving_helo());
  SetKnown(failure, "receiving-ip", session.receiving_ip());
  Set(failure, "failed-session-count", row.count());
  SetKnown(failure, "failure-reason-code", session.reason());
}

void WritePolicy(const Policy& from, Struct* into) {
  Struct* policy = Object(into, "policy");
  Set(policy, "policy-type", from.session->policy_type());
  SetTexts(policy, "policy-string", from.session->policy_strings());
  Set(policy, "policy-domain", from.session->policy_domain());
  SetTexts(policy, "mx-host", from.session->mx_patterns());
  Struct* summary = Object(into, "summary");
  Set(summary, "total-successful-session-count", from.good);
  Set(summary, "total-failure-session-count", from.bad);
  if (from.failures.empty()) return;
  ListValue* failures = List(into, "failure-details");
  for (const TlsReportRow& row : from.failures) WriteFailure(row, failures->add_values()->mutable_struct_value());
}

std::string Stamp(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

}  // namespace

absl::Time LastSecond(const ReportFrame& frame) {
  return std::min(frame.day_start + absl::Hours(24) - absl::Seconds(1), frame.until);
}

std::string BuildReport(const ReportFrame& frame, const std::vector<TlsReportRow>& rows) {
  HIKYAKU_CHECK(!rows.empty());
  Struct report;
  Set(&report, "organization-name", frame.organization);
  Struct* range = Object(&report, "date-range");
  Set(range, "start-datetime", Stamp(frame.day_start));
  Set(range, "end-datetime", Stamp(LastSecond(frame)));
  Set(&report, "contact-info", frame.contact);
  Set(&report, "report-id", frame.report_id);
  ListValue* policies = List(&report, "policies");
  for (const Policy& policy : ByPolicy(rows)) {
    WritePolicy(policy, policies->add_values()->mutable_struct_value());
  }
  std::string json;
  HIKYAKU_CHECK(google::protobuf::util::MessageToJsonString(report, &json).ok());
  return json;
}

}  // namespace hikyaku::tls_report
