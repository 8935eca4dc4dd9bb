#include "lib/delivery/tls_session_log.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "lib/base/utf8.h"
#include "lib/tls_report/record.h"
#include "lib/tls_report/report.h"

namespace hikyaku::delivery {
namespace {

using storage::v1::TlsSession;

constexpr std::size_t kMaxReason = 256;
constexpr std::size_t kMaxHelo = 255;
constexpr std::size_t kMaxPolicyStrings = 50;
constexpr std::size_t kMaxPolicyString = 512;

const char* OfFlaw(tls::Flaw flaw) {
  switch (flaw) {
    case tls::Flaw::kHostMismatch: return tls_report::kHostMismatch;
    case tls::Flaw::kExpired: return tls_report::kExpired;
    case tls::Flaw::kNotTrusted: return tls_report::kNotTrusted;
    default: return tls_report::kValidationFailure;
  }
}

// Null: there is none.
const char* StsResult(mta_sts::FetchResult trouble) {
  using mta_sts::FetchResult;
  switch (trouble) {
    case FetchResult::kOk:
    case FetchResult::kCancelled: return nullptr;
    case FetchResult::kCertificate:
    case FetchResult::kTls: return tls_report::kStsWebpkiInvalid;
    case FetchResult::kInvalid: return tls_report::kStsInvalid;
    default: return tls_report::kStsFetchError;
  }
}

// How a session went, as a report tells it. Nothing: it says nothing of TLS.
struct Result {
  std::string type;  // Empty: as the policy asks.
  std::string reason;
};

std::optional<Result> ResultOf(Connection& connection, const HostPolicy& policy) {
  if (connection.cancelled() || connection.key().tls.level == TlsLevel::kNone) return std::nullopt;
  if (const auto& failure = connection.tls_failure()) {
    const bool denied = failure->what == TlsFailure::What::kDenied;
    return Result{denied ? tls_report::kStartTlsNotSupported : OfFlaw(failure->flaw), failure->why};
  }
  if (const auto& tls = connection.tls()) {
    // A policy that is only tested lets the mail pass; what it found is to be told all the same (RFC 8461 §5).
    if (policy.report.type == tls_report::kSts && !tls->proof.verified) {
      return Result{OfFlaw(tls->proof.flaw), tls->proof.why};
    }
    return Result{policy.report.failure, ""};
  }
  // Where the host never came to answer EHLO, nobody knows whether it has TLS.
  if (!connection.session().reusable()) return std::nullopt;
  return Result{tls_report::kStartTlsNotSupported, ""};
}

// How the host calls itself: the first word of its greeting.
std::string HeloOf(Connection& connection) {
  const absl::string_view text = connection.session().greeting().text;
  const absl::string_view word = text.substr(0, std::min(text.find_first_of(" \n"), kMaxHelo));
  const bool plain = std::all_of(word.begin(), word.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return plain ? std::string(word) : "";
}

void SetCut(const std::string& text, std::size_t limit, std::string* into) {
  if (IsValidUtf8(text)) *into = std::string(CutUtf8(text, limit));
}

}  // namespace

TlsSessionLog::TlsSessionLog(bool wanted, std::string domain, dns::Resolver& resolver, Clock& clock, Budget& budget)
    : wanted_(wanted), domain_(std::move(domain)), resolver_(resolver), clock_(clock), budget_(budget) {}

awaitable<absl::Status> TlsSessionLog::LookUp() {
  if (!wanted_ || std::exchange(asked_, true)) co_return absl::OkStatus();
  const absl::Time start = clock_.Now();
  std::string name = tls_report::RecordName(domain_);
  const absl::Duration limit = std::min(kLookupLimit, budget_.left());
  const auto answer = co_await resolver_.ResolveTxt(std::move(name), limit);
  budget_.Spend(clock_.Now() - start);
  if (absl::IsCancelled(answer.status())) co_return answer.status();
  auto addresses = answer.ok() ? tls_report::ParseRecord(answer->records) : std::nullopt;
  wanted_ = addresses.has_value();
  if (wanted_) report_to_ = *std::move(addresses);
  co_return absl::OkStatus();
}

TlsSession TlsSessionLog::Begin(const HostPolicy& policy) const {
  TlsSession session;
  for (const std::string& address : report_to_) session.add_report_to(address);
  session.set_policy_type(policy.report.type);
  session.set_policy_domain(policy.report.domain.empty() ? domain_ : policy.report.domain);
  for (const std::string& text : policy.report.strings) {
    if (static_cast<std::size_t>(session.policy_strings_size()) >= kMaxPolicyStrings) break;
    SetCut(text, kMaxPolicyString, session.add_policy_strings());
    absl::string_view pattern = text;
    if (policy.report.type == tls_report::kSts && absl::ConsumePrefix(&pattern, "mx:")) {
      SetCut(std::string(absl::StripLeadingAsciiWhitespace(pattern)), kMaxPolicyString, session.add_mx_patterns());
    }
  }
  return session;
}

bool TlsSessionLog::Note(Connection& connection, const HostPolicy& policy, bool proxied) {
  if (!wanted_ || !asked_) return false;
  const std::optional<Result> result = ResultOf(connection, policy);
  if (!result) return false;
  TlsSession session = Begin(policy);
  if (!result->type.empty()) {
    session.set_result_type(result->type);
    session.set_receiving_host(connection.key().host);
    session.set_receiving_ip(connection.key().endpoint.address.ToString());
    session.set_receiving_helo(HeloOf(connection));
    if (!proxied) session.set_sending_ip(connection.local().address.ToString());
    SetCut(result->reason, kMaxReason, session.mutable_reason());
  }
  sessions_.push_back(std::move(session));
  return true;
}

void TlsSessionLog::NotePassedOver(const std::string& host, const HostPolicy& policy) {
  if (!wanted_ || !asked_ || !policy.trouble || policy.report.type == tls_report::kNoPolicy) return;
  TlsSession session = Begin(policy);
  const std::string& failure = policy.report.failure;
  session.set_result_type(failure.empty() ? std::string(tls_report::kValidationFailure) : failure);
  session.set_receiving_host(host);
  SetCut(policy.trouble->text, kMaxReason, session.mutable_reason());
  sessions_.push_back(std::move(session));
}

void TlsSessionLog::NoteStsTrouble(mta_sts::FetchResult trouble, const std::string& why) {
  if (!wanted_ || !asked_) return;
  const char* result = StsResult(trouble);
  if (result == nullptr) return;
  HostPolicy policy;
  policy.report.type = tls_report::kSts;
  TlsSession session = Begin(policy);
  session.set_result_type(result);
  SetCut(why, kMaxReason, session.mutable_reason());
  sessions_.push_back(std::move(session));
}

}  // namespace hikyaku::delivery
