#include "services/delivery/delivery_role.h"

#include <utility>

#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "services/delivery/settings.h"

namespace hikyaku::delivery {

absl::StatusOr<std::unique_ptr<DeliveryRole>> DeliveryRole::Start(net::IoPool& pool, const v1::Config& config,
                                                                  std::vector<queue::Shard*> shards, Clock& clock) {
  ASSIGN_OR_RETURN(dns::CaresResolverOptions resolver_options, ResolverOptionsFrom(config));
  auto ledger = std::make_shared<WarmUpLedger>();
  ASSIGN_OR_RETURN(WorkerOptions options, WorkerOptionsFrom(config));
  ASSIGN_OR_RETURN(Network network, NetworkFrom(config, clock, ledger));
  std::unique_ptr<DeliveryRole> role(new DeliveryRole(clock));
  role->believes_resolver_ = config.dns().validating();
  role->ledger_ = std::move(ledger);
  ASSIGN_OR_RETURN(role->resolver_, dns::CreateCaresResolver(std::move(resolver_options)));
  role->keyring_ = std::make_unique<DkimKeyring>(DkimOptionsFrom(config));
  options.attempt.keyring = role->keyring_.get();
  role->worker_ = std::make_unique<Worker>(std::move(options), std::move(shards), std::move(network), pool,
                                           *role->resolver_, clock);
  return role;
}

absl::Status DeliveryRole::Reload(const v1::Config& config) {
  if (AsksForDane(config) && !believes_resolver_) {
    return absl::InvalidArgumentError("dns.validating, which dane needs, is taken over by a restart alone");
  }
  ASSIGN_OR_RETURN(Network network, NetworkFrom(config, clock_, ledger_));
  worker_->Update(std::move(network));
  keyring_->Update(DkimOptionsFrom(config));
  return absl::OkStatus();
}

void DeliveryRole::RereadKeys() {
  const absl::Time now = absl::Now();
  if (now - reread_ < kReread) return;
  reread_ = now;
  keyring_->Reread();
}

void DeliveryRole::Stop(absl::Duration patience) { worker_->Stop(patience); }

std::string DeliveryRole::NotReady() const {
  return worker_->connected_shards() > 0 ? "" : "delivery: no shard can be reached";
}

}  // namespace hikyaku::delivery
