#include "lib/net/admission.h"

#include <string>

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

}  // namespace

std::optional<Refusal> Admission::Enter(const IpAddress& client) {
  const bool bound = caps_.per_client > 0 && !(caps_.exempt && caps_.exempt(client));
  const IpAddress who = ClientOf(client);
  absl::MutexLock lock(&mutex_);
  if (caps_.total > 0 && open_ >= caps_.total) return Refusal::kTotal;
  const auto found = per_client_.find(who);
  if (bound && found != per_client_.end() && found->second >= caps_.per_client) return Refusal::kPerClient;
  ++per_client_[who];
  ++open_;
  return std::nullopt;
}

void Admission::Leave(const IpAddress& client) {
  absl::MutexLock lock(&mutex_);
  --open_;
  const auto found = per_client_.find(ClientOf(client));
  if (--found->second == 0) per_client_.erase(found);
}

}  // namespace hikyaku::net
