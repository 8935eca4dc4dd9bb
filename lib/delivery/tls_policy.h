// Which TLS a delivery asks for: the operator's configuration and routes.
//
// Source:     RFC 3207, RFC 8314 (implicit TLS), RFC 7435 (opportunistic by default).
// Threading:  plain values and pure functions.
#ifndef HIKYAKU_LIB_DELIVERY_TLS_POLICY_H_
#define HIKYAKU_LIB_DELIVERY_TLS_POLICY_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/delivery/route.h"
#include "lib/delivery/tls_demand.h"
#include "lib/tls/context.h"

namespace hikyaku::delivery {

// As in delivery.tls of the configuration.
struct TlsSettings {
  std::shared_ptr<const tls::ClientContext> context;  // Null: no TLS can be spoken, and none is asked for.
  TlsLevel level = TlsLevel::kNone;
  // How long a message is held before it goes in clear text to a host whose handshakes fail; opportunistic only.
  absl::Duration clear_text_after = absl::Minutes(4);
  absl::Duration broken_memory = absl::Hours(1);
  bool mta_sts = false;  // The policies that domains publish hold (RFC 8461).
};

// A demand, and who made it.
struct TlsPolicy {
  TlsDemand demand;
  std::string rule;  // "delivery.tls", "delivery.routes[2] (example.net)".
};

// A route to a next hop of its own has DANE only by its own word; kDaneOnly, which forbids the rest, holds for all.
TlsPolicy ChooseTls(const TlsSettings& settings, const NextHop& hop);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_TLS_POLICY_H_
