#include "lib/mta_sts/fetch.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::mta_sts {
namespace {

constexpr std::size_t kMostShown = 60;

// "text/plain", whatever parameters follow.
bool IsPlainText(absl::string_view type) {
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type.substr(0, type.find(';'))), "text/plain");
}

FetchResult Of(https::Result result) {
  switch (result) {
    case https::Result::kOk: return FetchResult::kOk;
    case https::Result::kNoAddress: return FetchResult::kNoAddress;
    case https::Result::kUnreachable: return FetchResult::kUnreachable;
    case https::Result::kCertificate: return FetchResult::kCertificate;
    case https::Result::kTls: return FetchResult::kTls;
    case https::Result::kHttp: return FetchResult::kHttp;
    case https::Result::kTimeout: return FetchResult::kTimeout;
    case https::Result::kCancelled: return FetchResult::kCancelled;
  }
  return FetchResult::kHttp;
}

}  // namespace

absl::string_view FetchResultName(FetchResult result) {
  switch (result) {
    case FetchResult::kOk: return "ok";
    case FetchResult::kNoAddress: return "no_address";
    case FetchResult::kUnreachable: return "unreachable";
    case FetchResult::kCertificate: return "certificate";
    case FetchResult::kTls: return "tls";
    case FetchResult::kHttp: return "http";
    case FetchResult::kTimeout: return "timeout";
    case FetchResult::kInvalid: return "invalid";
    case FetchResult::kCancelled: return "cancelled";
  }
  return "?";
}

std::string PolicyHost(absl::string_view domain) { return absl::StrCat("mta-sts.", domain); }

absl::Status JudgeHead(int status, absl::string_view type) {
  if (status != 200) return absl::InvalidArgumentError(absl::StrCat("the answer is ", status, ", not 200"));
  if (type.empty()) return absl::InvalidArgumentError("the answer has no Content-Type; text/plain is expected");
  if (IsPlainText(type)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the answer is \"", absl::CEscape(type.substr(0, kMostShown)), "\", not text/plain"));
}

awaitable<Fetched> Fetch(Web web, std::string domain) {
  https::Request request;
  request.host = PolicyHost(domain);
  request.target = kPolicyPath;
  request.accept = "text/plain";
  https::Wanted wanted;
  wanted.judge = JudgeHead;
  wanted.max_body = Policy::kMaxSize;
  https::Answer answer = co_await https::Ask(std::move(web), std::move(request), wanted, kFetchLimit);
  Fetched fetched;
  fetched.result = Of(answer.result);
  fetched.why = std::move(answer.why);
  if (!answer.ok()) co_return fetched;
  auto policy = ParsePolicy(answer.body);
  if (policy.ok()) {
    fetched.text = std::move(answer.body);
    fetched.policy = *std::move(policy);
  } else {
    fetched.result = FetchResult::kInvalid;
    fetched.why = std::string(policy.status().message());
  }
  co_return fetched;
}

}  // namespace hikyaku::mta_sts
