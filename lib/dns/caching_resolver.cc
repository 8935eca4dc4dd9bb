#include "lib/dns/caching_resolver.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/metrics/metrics.h"
#include "lib/net/resume.h"

namespace hikyaku::dns {
namespace {

metrics::Counter& hits = metrics::DeclareCounter("hikyaku_dns_lookups_total",
                                                 "DNS look-ups, by where the answer came from.", {{"from", "cache"}});
metrics::Counter& joins = metrics::DeclareCounter(
    "hikyaku_dns_lookups_total", "DNS look-ups, by where the answer came from.", {{"from", "query_in_flight"}});
metrics::Counter& misses = metrics::DeclareCounter(
    "hikyaku_dns_lookups_total", "DNS look-ups, by where the answer came from.", {{"from", "server"}});

metrics::Counter& Answered(const char* result) {
  return metrics::DeclareCounter("hikyaku_dns_answers_total", "Answers of the DNS servers, by result.",
                                 {{"result", result}});
}
metrics::Counter& records = Answered("records");
metrics::Counter& no_data = Answered("no_data");
metrics::Counter& no_name = Answered("no_such_name");
metrics::Counter& timeouts = Answered("timeout");
metrics::Counter& failures = Answered("failure");

metrics::Counter& CounterFor(const Result& result) {
  if (result.status.ok()) return result.records.empty() ? no_data : records;
  if (absl::IsNotFound(result.status)) return no_name;
  return absl::IsDeadlineExceeded(result.status) ? timeouts : failures;
}

using ResultPtr = std::shared_ptr<const Result>;

// A and AAAA together, when both are in.
struct Both {
  std::array<ResultPtr, 2> results;  // AAAA, A.
  std::atomic<int> missing{2};
};

template <typename Record, typename Convert>
Answer<Record> ToAnswer(const Result& result, Convert convert) {
  Answer<Record> answer;
  answer.expires = result.expires;
  answer.authenticated = result.authenticated;
  answer.alias_of = result.alias_of;
  for (const RecordData& data : result.records) answer.records.push_back(convert(data));
  return answer;
}

TlsaRecord TlsaFrom(const RecordData& data) {
  const std::string& bytes = data.text;
  if (bytes.size() < 3) return {255, 255, 255, ""};
  const auto octet = [&](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  return {octet(0), octet(1), octet(2), bytes.substr(3)};
}

absl::StatusOr<AddressAnswers> Merge(const Result& v6, const Result& v4) {
  const auto address = [](const RecordData& data) { return data.address; };
  AddressAnswers answer = ToAnswer<address::IpAddress>(v6, address);
  for (const RecordData& data : v4.records) answer.records.push_back(data.address);
  answer.expires = std::min(v6.expires, v4.expires);
  // What gave no address has no say: else a failed AAAA alone could make a secure host look like an insecure one.
  const auto secure = [](const Result& result) { return result.records.empty() || result.authenticated; };
  answer.authenticated = secure(v6) && secure(v4) && (v6.authenticated || v4.authenticated);
  if (v6.records.empty()) answer.alias_of = v4.alias_of;
  if (!answer.records.empty()) return answer;
  // A failure of either leaves open whether there are addresses; NXDOMAIN holds for all types of a name.
  for (const Result* result : {&v4, &v6}) {
    if (!result->status.ok() && !absl::IsNotFound(result->status)) return result->status;
  }
  for (const Result* result : {&v4, &v6}) RETURN_IF_ERROR(result->status);
  return answer;
}

}  // namespace

CachingResolver::CachingResolver(std::unique_ptr<QueryEngine> engine, CacheOptions options, const Clock& clock)
    : options_(options), clock_(clock), cache_(options), engine_(std::move(engine)) {}

awaitable<absl::StatusOr<MxAnswers>> CachingResolver::ResolveMx(std::string domain, absl::Duration limit) {
  Question question{"", RecordType::kMx};
  CO_ASSIGN_OR_RETURN(question.name, NormaliseName(domain));
  CO_ASSIGN_OR_RETURN(const ResultPtr result, co_await LookUp(std::move(question), limit));
  CO_RETURN_IF_ERROR(result->status);
  co_return ToAnswer<MxRecord>(*result, [](const RecordData& data) { return MxRecord{data.preference, data.text}; });
}

awaitable<absl::StatusOr<AddressAnswers>> CachingResolver::ResolveAddresses(std::string host, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(const std::string name, NormaliseName(host));
  const Question v6{name, RecordType::kAaaa};
  const Question v4{name, RecordType::kA};
  const ResultPtr known_v6 = Peek(v6);
  const ResultPtr known_v4 = Peek(v4);
  if (known_v6 != nullptr && known_v4 != nullptr) co_return Merge(*known_v6, *known_v4);
  auto both = std::make_shared<Both>();
  CO_RETURN_IF_ERROR(
      (co_await net::AwaitCallbackWithin<ResultPtr>(limit, [&](net::Resume<absl::StatusOr<ResultPtr>> done) {
        const auto part = [&](std::size_t index, const Question& question) {
          Ask(question, [both, index, done](ResultPtr result) {
            both->results[index] = std::move(result);
            if (--both->missing == 0) done(both->results[0]);
          });
        };
        part(0, v6);
        part(1, v4);
      })).status());
  co_return Merge(*both->results[0], *both->results[1]);
}

awaitable<absl::StatusOr<TextAnswers>> CachingResolver::Texts(absl::StatusOr<std::string> name, RecordType type,
                                                              absl::Duration limit) {
  Question question{"", type};
  CO_ASSIGN_OR_RETURN(question.name, std::move(name));
  CO_ASSIGN_OR_RETURN(const ResultPtr result, co_await LookUp(std::move(question), limit));
  CO_RETURN_IF_ERROR(result->status);
  co_return ToAnswer<std::string>(*result, [](const RecordData& data) { return data.text; });
}

awaitable<absl::StatusOr<TextAnswers>> CachingResolver::ResolveTxt(std::string name, absl::Duration limit) {
  return Texts(NormaliseName(name), RecordType::kTxt, limit);
}

awaitable<absl::StatusOr<TextAnswers>> CachingResolver::ResolveAlias(std::string name, absl::Duration limit) {
  return Texts(NormaliseName(name), RecordType::kCname, limit);
}

awaitable<absl::StatusOr<TextAnswers>> CachingResolver::ResolvePtr(address::IpAddress address, absl::Duration limit) {
  return Texts(ReverseName(address), RecordType::kPtr, limit);
}

awaitable<absl::StatusOr<TlsaAnswers>> CachingResolver::ResolveTlsa(std::string name, absl::Duration limit) {
  Question question{"", RecordType::kTlsa};
  CO_ASSIGN_OR_RETURN(question.name, NormaliseName(name));
  CO_ASSIGN_OR_RETURN(const ResultPtr result, co_await LookUp(std::move(question), limit));
  CO_RETURN_IF_ERROR(result->status);
  co_return ToAnswer<TlsaRecord>(*result, TlsaFrom);
}

awaitable<absl::StatusOr<CachingResolver::ResultPtr>> CachingResolver::LookUp(Question question, absl::Duration limit) {
  if (ResultPtr known = Peek(question)) co_return known;
  co_return co_await net::AwaitCallbackWithin<ResultPtr>(limit, [&](net::Resume<absl::StatusOr<ResultPtr>> done) {
    Ask(question, [done](ResultPtr result) { done(std::move(result)); });
  });
}

CachingResolver::ResultPtr CachingResolver::Peek(const Question& question) {
  absl::MutexLock lock(&mutex_);
  ResultPtr known = cache_.Find(question, clock_.Now());
  if (known != nullptr) hits.Increment();
  return known;
}

void CachingResolver::Ask(const Question& question, Waiter waiter) {
  bool first = false;
  ResultPtr known;
  {
    // Looked up again under the lock: an answer may have come since Peek, and must not be asked for twice.
    absl::MutexLock lock(&mutex_);
    known = cache_.Find(question, clock_.Now());
    if (known == nullptr) {
      auto& waiters = open_[question];
      first = waiters.empty();
      waiters.push_back(std::move(waiter));
    }
  }
  if (known != nullptr) return waiter(std::move(known));
  (first ? misses : joins).Increment();
  if (!first) return;
  engine_->Query(question.name, question.type,
                 [this, question](absl::StatusOr<std::string> message) { OnAnswer(question, message); });
}

void CachingResolver::OnAnswer(const Question& question, const absl::StatusOr<std::string>& message) {
  const auto result = std::make_shared<const Result>(MakeResult(question, message, clock_.Now(), options_));
  CounterFor(*result).Increment();
  std::vector<Waiter> waiters;
  {
    absl::MutexLock lock(&mutex_);
    cache_.Insert(question, result);
    if (auto found = open_.extract(question)) waiters = std::move(found.mapped());
  }
  for (const Waiter& waiter : waiters) waiter(result);
}

}  // namespace hikyaku::dns
