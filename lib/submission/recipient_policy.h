// Which recipients are taken at all, beyond the grammar of their addresses.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_RECIPIENT_POLICY_H_
#define HIKYAKU_LIB_SUBMISSION_RECIPIENT_POLICY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "lib/address/address.h"
#include "lib/address/literal.h"

namespace hikyaku::submission {

class RecipientPolicy {
 public:
  virtual ~RecipientPolicy() = default;

  // Nothing to let it pass; else the reason with its enhanced code (RFC 3463): "5.1.2 …".
  virtual std::optional<std::string> Refuse(const address::Address& recipient) const = 0;
};

// Refuses address literals, which point mail at a host of the sender's choice, except those that the operator opened:
// in `allowed` (delivery.allow_ranges), or in `routed` (a route for "[192.0.2.1]" itself, in canonical form).
class LiteralPolicy : public RecipientPolicy {
 public:
  LiteralPolicy() = default;
  LiteralPolicy(std::vector<address::Cidr> allowed, std::vector<std::string> routed);

  std::optional<std::string> Refuse(const address::Address& recipient) const override;

 private:
  std::vector<address::Cidr> allowed_;
  absl::flat_hash_set<std::string> routed_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_RECIPIENT_POLICY_H_
