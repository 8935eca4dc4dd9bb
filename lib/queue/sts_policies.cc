#include "lib/queue/sts_policies.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr std::size_t kMaxDomain = 255;
constexpr std::size_t kMaxId = 32;  // RFC 8461 §3.1.

// Each policy that is put sees to so many others, so that those of domains that nobody writes to any more go too.
constexpr int kLookedAt = 8;

std::string KeyOf(absl::string_view domain) { return absl::StrCat(keys::kSts, domain); }

// True also of a record that cannot be read: it is of no use.
bool Over(absl::string_view value, std::int64_t now_micros) {
  storage::v1::StsPolicy policy;
  const bool read = policy.ParseFromArray(value.data(), static_cast<int>(value.size()));
  return !read || policy.expire_micros() <= now_micros;
}

// Removes one whose time is over, unless it was put anew meanwhile.
class DropOperation : public Operation {
 public:
  DropOperation(Engine& engine, std::string key) : engine_(engine), key_(std::move(key)) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    const auto stored = group.store.Get(Family::kMeta, key_);
    if (!stored.ok() || !stored->has_value()) return;
    if (Over(**stored, engine_.NowMicros())) group.batch.Delete(Family::kMeta, key_);
  }

  void Finish(const absl::Status&) override {}

 private:
  Engine& engine_;
  const std::string key_;
};

class PutOperation : public Operation {
 public:
  PutOperation(Engine& engine, storage::v1::StsPolicy policy, Done<internal::v1::PutStsPolicyResponse> done)
      : engine_(engine), key_(KeyOf(policy.domain())), value_(policy.SerializeAsString()), done_(std::move(done)) {}

  bool alone() const override { return true; }  // It scans.
  std::size_t bytes() const override { return value_.size() + 512; }

  void Apply(Group& group) override {
    const std::int64_t now = engine_.NowMicros();
    const auto cursor = group.store.Scan(Family::kMeta, key_, keys::PrefixEnd(keys::kSts));
    for (int seen = 0; cursor != nullptr && cursor->Valid() && seen < kLookedAt; cursor->Next(), ++seen) {
      if (Over(cursor->value(), now)) group.batch.Delete(Family::kMeta, cursor->key());
    }
    group.batch.Put(Family::kMeta, key_, value_);
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return std::move(done_)(status);
    std::move(done_)(internal::v1::PutStsPolicyResponse());
  }

 private:
  Engine& engine_;
  const std::string key_;
  const std::string value_;
  Done<internal::v1::PutStsPolicyResponse> done_;
};

}  // namespace

absl::StatusOr<storage::v1::StsPolicy> QuerySts(Engine& engine, const internal::v1::GetStsPolicyRequest& request) {
  const std::string key = KeyOf(request.domain());
  ASSIGN_OR_RETURN(const std::optional<std::string> stored, engine.store->Get(Family::kMeta, key));
  if (!stored.has_value()) return absl::NotFoundError("no policy is kept");
  storage::v1::StsPolicy policy;
  if (policy.ParseFromString(*stored) && policy.expire_micros() > engine.NowMicros()) return policy;
  engine.committer.Push(std::make_unique<DropOperation>(engine, key));
  return absl::NotFoundError("the policy that was kept is over");
}

absl::Status ValidateSts(const storage::v1::StsPolicy& policy) {
  const auto wrong = [](absl::string_view what) { return absl::InvalidArgumentError(what); };
  const std::string& domain = policy.domain();
  if (domain.empty() || domain.size() > kMaxDomain || absl::StrContains(domain, '\0')) {
    return wrong("domain: 1 to 255 octets without NUL are expected");
  }
  if (policy.id().size() > kMaxId) return wrong("id: at most 32 octets are expected");
  if (policy.text().size() > kMaxStsText) return wrong("text: at most 64KiB are expected");
  if (policy.expire_micros() <= policy.fetched_micros()) return wrong("expire_micros: must be after fetched_micros");
  return absl::OkStatus();
}

std::unique_ptr<Operation> MakePutSts(Engine& engine, storage::v1::StsPolicy policy,
                                      Done<internal::v1::PutStsPolicyResponse> done) {
  return std::make_unique<PutOperation>(engine, std::move(policy), std::move(done));
}

}  // namespace hikyaku::queue
