#include "lib/mta_sts/memory.h"

namespace hikyaku::mta_sts {
namespace {

// About what one takes; names in `mx` count with what a string takes beside its characters.
std::size_t BytesOf(absl::string_view domain, const Known& known) {
  std::size_t bytes = 300 + 2 * domain.size() + known.failed.why.size();
  if (known.policy == nullptr) return bytes;
  for (const std::string& pattern : known.policy->policy.mx) bytes += sizeof(std::string) + pattern.size();
  return bytes + sizeof(KeptPolicy);
}

}  // namespace

Known Memory::Get(absl::string_view domain) {
  const auto found = index_.find(domain);
  if (found == index_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->known;
}

void Memory::Set(absl::string_view domain, Known known) {
  if (const auto found = index_.find(domain); found != index_.end()) Erase(found->second);
  const std::size_t bytes = BytesOf(domain, known);
  entries_.push_front({std::string(domain), std::move(known), bytes});
  index_[std::string(domain)] = entries_.begin();
  bytes_ += bytes;
  while (entries_.size() > 1 && (entries_.size() > max_domains_ || bytes_ > max_bytes_)) {
    Erase(std::prev(entries_.end()));
  }
}

void Memory::Erase(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  index_.erase(entry->domain);
  entries_.erase(entry);
}

}  // namespace hikyaku::mta_sts
