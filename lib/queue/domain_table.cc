#include "lib/queue/domain_table.h"

#include <utility>

namespace hikyaku::queue {
namespace {

// A domain for which so many wait keeps its record, so that it can be listed by name. Of ten million deliveries at most
// ten thousand such records can come.
constexpr std::uint32_t kMany = 1000;

}  // namespace

Domain& DomainTable::Get(absl::string_view name) {
  const std::uint64_t hash = Hash(name);
  Slice& slice = Of(hash);
  auto [it, made] = slice.records.try_emplace(std::string(name));
  Domain& domain = it->second;
  if (!made) return domain;
  domain.name = it->first;
  if (const auto other = slice.others.find(hash); other != slice.others.end()) {
    domain.open = other->second;
    slice.others.erase(other);
  } else {
    ++size_;
  }
  return domain;
}

Domain* DomainTable::Find(absl::string_view name) {
  Slice& slice = Of(Hash(name));
  const auto it = slice.records.find(name);
  return it == slice.records.end() ? nullptr : &it->second;
}

void DomainTable::Opened(absl::string_view name) {
  if (Domain* domain = Find(name); domain != nullptr) {
    ++domain->open;
    return;
  }
  const std::uint64_t hash = Hash(name);
  const auto [it, made] = Of(hash).others.try_emplace(hash, 0);
  size_ += made;
  if (++it->second >= kMany) Get(name);
}

void DomainTable::Drop(Domain& domain) {
  if (domain.open >= kMany) return;
  const std::uint64_t hash = Hash(domain.name);
  Slice& slice = Of(hash);
  if (domain.open > 0) {
    slice.others[hash] += static_cast<std::uint32_t>(domain.open);
  } else {
    --size_;
  }
  slice.records.erase(slice.records.find(domain.name));
}

std::uint64_t DomainTable::Other(std::uint64_t hash) const {
  const auto& others = slices_[hash % kSlices].others;
  const auto it = others.find(hash);
  return it == others.end() ? 0 : it->second;
}

void DomainTable::ForEachRecord(std::size_t slice, const std::function<void(Domain&)>& visit) {
  for (auto& [name, domain] : slices_[slice].records) visit(domain);
}

void DomainTable::ForEachOther(std::size_t slice,
                               const std::function<void(std::uint64_t hash, std::uint64_t open)>& visit) const {
  for (const auto& [hash, open] : slices_[slice].others) visit(hash, open);
}

}  // namespace hikyaku::queue
