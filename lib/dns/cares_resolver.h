// The resolver of the service: c-ares under a cache.
#ifndef HIKYAKU_LIB_DNS_CARES_RESOLVER_H_
#define HIKYAKU_LIB_DNS_CARES_RESOLVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/dns/cache.h"
#include "lib/dns/cares_engine.h"
#include "lib/dns/resolver.h"

namespace hikyaku::dns {

struct CaresResolverOptions {
  CaresOptions server;
  CacheOptions cache;
};

// Destroyed before the IoPool whose coroutines ask it, and after they ended. kUnavailable: see CreateCaresEngine.
absl::StatusOr<std::unique_ptr<Resolver>> CreateCaresResolver(CaresResolverOptions options = {});

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_CARES_RESOLVER_H_
