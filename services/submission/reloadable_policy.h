// The recipient policy that a reload can replace.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_
#define HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/delivery/route.h"
#include "lib/submission/recipient_policy.h"

namespace hikyaku::submission {

class ReloadablePolicy : public RecipientPolicy {
 public:
  std::optional<std::string> Refuse(const address::Address& recipient) const override;

  // Address literals are open where delivery.allow_ranges or a route for the literal itself says so. A domain is
  // refused where a route refuses it, whoever sends. kInvalidArgument names what does not parse; the old policy stays.
  absl::Status Load(const v1::Config& config);

 private:
  struct Rules {
    LiteralPolicy literals;
    delivery::RouteTable routes;
  };

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Rules> rules_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Rules>();
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_RELOADABLE_POLICY_H_
