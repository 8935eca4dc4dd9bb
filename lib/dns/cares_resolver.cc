#include "lib/dns/cares_resolver.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/dns/caching_resolver.h"

namespace hikyaku::dns {

absl::StatusOr<std::unique_ptr<Resolver>> CreateCaresResolver(CaresResolverOptions options) {
  ASSIGN_OR_RETURN(std::unique_ptr<QueryEngine> engine, CreateCaresEngine(std::move(options.server)));
  return std::make_unique<CachingResolver>(std::move(engine), options.cache);
}

}  // namespace hikyaku::dns
