#include "lib/dns/cache.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hikyaku::dns {
namespace {

// A list node, an index slot and two allocations, roughly.
constexpr std::size_t kEntryOverhead = 256;

std::size_t Cost(const Question& question, const Result& result) {
  std::size_t cost =
      kEntryOverhead + 2 * question.name.size() + result.alias_of.size() + result.records.size() * sizeof(RecordData);
  for (const RecordData& record : result.records) cost += record.text.size();
  return cost;
}

absl::Status CodeError(ResponseCode code) {
  return absl::UnavailableError(absl::StrCat("DNS response code ", static_cast<int>(code)));
}

}  // namespace

Result MakeResult(const Question& question, const absl::StatusOr<std::string>& message, absl::Time now,
                  const CacheOptions& options) {
  const auto failure = [&](absl::Status status) {
    return Result{std::move(status), {}, false, now + options.failure_ttl, ""};
  };
  if (!message.ok()) return failure(message.status());
  auto response = ParseResponse(*message, question.name, question.type);
  if (!response.ok()) return failure(absl::UnavailableError(response.status().message()));
  const bool exists = response->code == ResponseCode::kNoError;
  if (!exists && response->code != ResponseCode::kNxDomain) return failure(CodeError(response->code));

  Result result;
  result.authenticated = options.believe_ad && response->authenticated;
  if (response->name != question.name) result.alias_of = std::move(response->name);
  if (exists && !response->records.empty()) {
    result.records = std::move(response->records);
    result.expires = now + std::clamp(response->ttl, options.min_ttl, options.max_ttl);
    return result;
  }
  if (!exists) result.status = absl::NotFoundError(absl::StrCat(question.name, " does not exist (NXDOMAIN)"));
  const absl::Duration ttl = response->negative_ttl.value_or(absl::ZeroDuration());
  result.expires = now + std::clamp(ttl, options.min_ttl, options.max_negative_ttl);
  return result;
}

std::shared_ptr<const Result> Cache::Find(const Question& question, absl::Time now) {
  const auto found = index_.find(question);
  if (found == index_.end()) return nullptr;
  if (found->second->result->expires <= now) {
    Erase(found->second);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->result;
}

void Cache::Insert(const Question& question, std::shared_ptr<const Result> result) {
  if (const auto found = index_.find(question); found != index_.end()) Erase(found->second);
  const std::size_t cost = Cost(question, *result);
  entries_.push_front({question, std::move(result), cost});
  index_[question] = entries_.begin();
  bytes_ += cost;
  while (entries_.size() > options_.max_entries || (bytes_ > options_.max_bytes && entries_.size() > 1)) {
    Erase(std::prev(entries_.end()));
  }
}

void Cache::Erase(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  index_.erase(entry->question);
  entries_.erase(entry);
}

}  // namespace hikyaku::dns
