// From the configuration to the plain values of lib/delivery.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_DELIVERY_SETTINGS_H_
#define HIKYAKU_SERVICES_DELIVERY_SETTINGS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/delivery/worker.h"
#include "lib/dns/cares_resolver.h"
#include "lib/net/endpoint.h"

namespace hikyaku::delivery {

// All take a configuration with its defaults; kInvalidArgument names the key.

absl::StatusOr<WorkerOptions> WorkerOptionsFrom(const v1::Config& config);

// Routes, egress ranges and TLS, for which the file of authorities is read: what a reload replaces. `clock` outlives
// it. `ledger` counts on over reloads; nothing: a fresh one.
absl::StatusOr<Network> NetworkFrom(const v1::Config& config, Clock& clock,
                                    std::shared_ptr<WarmUpLedger> ledger = nullptr);

// Empty rows: nothing is signed.
DkimOptions DkimOptionsFrom(const v1::Config& config);

// Whether a policy needs a resolver that is believed (dns.validating).
bool AsksForDane(const v1::Config& config);

absl::StatusOr<dns::CaresResolverOptions> ResolverOptionsFrom(const v1::Config& config);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_SERVICES_DELIVERY_SETTINGS_H_
