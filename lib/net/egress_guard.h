// Which addresses outgoing connections may reach. A recipient's domain is chosen by strangers, so that without a guard
// its MX could name 127.0.0.1, a cloud's metadata service or a host of the private network (server-side request
// forgery).
//
// Source:    the IANA special-purpose registries (RFC 6890), through lib/address/special_ranges.h, which also sees
//            through mapped, translated and tunnelled forms.
// Non-goals: names. The caller asks for the very address that it connects to, right before it does.
// Threading: a constant value; safe from every thread.
#ifndef HIKYAKU_LIB_NET_EGRESS_GUARD_H_
#define HIKYAKU_LIB_NET_EGRESS_GUARD_H_

#include <vector>

#include "absl/status/status.h"
#include "lib/address/literal.h"

namespace hikyaku::net {

class EgressGuard {
 public:
  // `allowed` opens ranges (delivery.allow_ranges) that are closed by default.
  explicit EgressGuard(std::vector<address::Cidr> allowed = {});

  // Ok, or kPermissionDenied with the reason: the caller tries another address.
  absl::Status Check(const address::IpAddress& to) const;

 private:
  std::vector<address::Cidr> allowed_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_EGRESS_GUARD_H_
