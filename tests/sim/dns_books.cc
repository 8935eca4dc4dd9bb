#include "tests/sim/dns_books.h"

namespace hikyaku::sim {

void DnsBooks::Note(Answer answer) {
  answer.time = world_.now();
  answers_.push_back(answer);
}

Told DnsBooks::Now(int domain, int host) const {
  Told told;
  (zones_->DomainIsProved(domain) ? told.mx_proved : told.mx_unproved) = true;
  (zones_->HostIsProved(host) ? told.address_proved : told.address_unproved) = true;
  if (told.mx_proved && told.address_proved) told.tlsa.insert(zones_->tlsa(host));
  return told;
}

Told DnsBooks::Since(absl::Duration since, int worker, int domain, int host) const {
  Told told;
  for (auto it = answers_.rbegin(); it != answers_.rend() && it->time >= since; ++it) {
    if (it->worker != worker || it->of != (it->kind == kMx ? domain : host)) continue;
    switch (it->kind) {
      case kMx: (it->proved ? told.mx_proved : told.mx_unproved) = true; break;
      case kAddress: (it->proved ? told.address_proved : told.address_unproved) = true; break;
      case kTlsa: told.tlsa.insert(it->tlsa); break;
    }
  }
  return told;
}

}  // namespace hikyaku::sim
