#include "lib/submission/recipient_policy.h"

#include <utility>

namespace hikyaku::submission {

LiteralPolicy::LiteralPolicy(std::vector<address::Cidr> allowed, std::vector<std::string> routed)
    : allowed_(std::move(allowed)), routed_(routed.begin(), routed.end()) {}

std::optional<std::string> LiteralPolicy::Refuse(const address::Address& recipient) const {
  if (!recipient.literal || routed_.contains(recipient.domain)) return std::nullopt;
  if (const auto ip = address::ParseAddressLiteral(recipient.domain); ip.ok()) {
    for (const address::Cidr& range : allowed_) {
      if (range.Contains(*ip)) return std::nullopt;
    }
  }
  return "5.1.2 Address literals are not accepted here";
}

}  // namespace hikyaku::submission
