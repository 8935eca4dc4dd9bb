// The recipient policy that a reload can replace.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_
#define HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/submission/recipient_policy.h"

namespace hikyaku::submission {

class ReloadablePolicy : public RecipientPolicy {
 public:
  std::optional<std::string> Refuse(const address::Address& recipient) const override {
    std::shared_ptr<const LiteralPolicy> policy;
    {
      absl::MutexLock lock(&mutex_);
      policy = policy_;
    }
    return policy->Refuse(recipient);
  }

  // Address literals are open where delivery.allow_ranges or a route for the literal itself says so. kInvalidArgument
  // names a range that does not parse; the old policy stays.
  absl::Status Load(const v1::Config& config);

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const LiteralPolicy> policy_ ABSL_GUARDED_BY(mutex_) = std::make_shared<LiteralPolicy>();
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_
