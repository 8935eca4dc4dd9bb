#include "lib/net/admission.h"

#include <algorithm>
#include <string>

#include "absl/hash/hash.h"

namespace hikyaku::net {
namespace {

using address::IpAddress;

IpAddress ClientOf(const IpAddress& address) {
  const IpAddress plain = address.Unmapped();
  if (plain.is_v4()) return plain;
  std::string network(plain.bytes().substr(0, 8));
  network.resize(16, '\0');
  return *IpAddress::FromBytes(network);
}

bool Binds(std::size_t cap, const std::function<bool(const IpAddress&)>& exempt, const IpAddress& client) {
  return cap > 0 && !(exempt && exempt(client));
}

}  // namespace

std::optional<Refusal> Admission::Enter(const IpAddress& client, absl::Time now) {
  const bool capped = Binds(caps_.per_client, caps_.exempt, client);
  const bool rated = Binds(caps_.rate_per_client, caps_.rate_exempt, client);
  const IpAddress who = ClientOf(client);
  absl::MutexLock lock(&mutex_);
  const std::size_t open = open_.load(std::memory_order_relaxed);
  if (caps_.total > 0 && open >= caps_.total) return Refusal::kTotal;
  const auto found = per_client_.find(who);
  const std::size_t held = found == per_client_.end() ? 0 : found->second;
  if (capped && held >= caps_.per_client) return Refusal::kPerClient;
  if (caps_.total > 0 && held > 0 && held >= kShare * (caps_.total - open)) return Refusal::kPerClient;
  if (rated && !TakeToken(who, now)) return Refusal::kRate;
  ++per_client_[who];
  open_.store(open + 1, std::memory_order_relaxed);
  return std::nullopt;
}

bool Admission::TakeToken(const IpAddress& who, absl::Time now) {
  if (buckets_.empty()) buckets_.resize(kBuckets);
  Bucket& bucket = buckets_[absl::Hash<IpAddress>()(who) % kBuckets];
  const double burst = static_cast<double>(caps_.rate_per_client) * kBurstSeconds;
  if (bucket.client != who) bucket = {who, now, burst};
  const double more = absl::ToDoubleSeconds(now - bucket.filled) * static_cast<double>(caps_.rate_per_client);
  bucket.tokens = std::min(burst, bucket.tokens + std::max(0.0, more));
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void Admission::Leave(const IpAddress& client) {
  absl::MutexLock lock(&mutex_);
  open_.store(open_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  const auto found = per_client_.find(ClientOf(client));
  if (--found->second == 0) per_client_.erase(found);
}

}  // namespace hikyaku::net
