#include "lib/queue/tls_tally.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/random.h"
#include "lib/crypto/digest.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

using storage::v1::TlsReportRow;
using storage::v1::TlsSession;

// More than an attempt opens; a worker that tells of more is broken.
constexpr int kMaxSessions = 16;
// Of one session, however its worker came to it.
constexpr std::size_t kMaxSessionBytes = 16 << 10;
constexpr std::size_t kHashBytes = 16;

std::string Hash(const std::string& bytes) { return crypto::Sha256(bytes).substr(0, kHashBytes); }

// Without what a peer or a policy could make differ for ever.
TlsSession Coarse(const TlsSession& session, const std::string& domain) {
  TlsSession coarse;
  coarse.set_policy_type(session.policy_type());
  coarse.set_policy_domain(domain);
  coarse.set_result_type(session.result_type());
  return coarse;
}

// As it stands before this operation; nothing: there is none. An error: nobody knows now.
absl::StatusOr<std::optional<TlsReportRow>> Find(const Group& group, const std::string& key) {
  if (const auto it = group.tls_rows.find(key); it != group.tls_rows.end()) return it->second;
  const auto stored = group.store.Get(Family::kMeta, key);
  if (!stored.ok()) return stored.status();
  TlsReportRow row;
  if (!stored->has_value() || !row.ParseFromString(**stored)) return std::nullopt;
  return row;
}

// The row that `key` may have keeps its count: this one stands beside it, and the report adds up what was alike.
std::string KeyApart(std::uint32_t day, const std::string& domain) {
  std::string random(kHashBytes, '\0');
  RandomBytes(random.data(), random.size());
  return keys::TlsReportRow(day, domain, random);
}

bool Full(const Group& group, const std::string& prefix) {
  const auto fresh = group.new_tls_rows.find(prefix);
  int rows = fresh == group.new_tls_rows.end() ? 0 : fresh->second;
  const auto cursor = group.store.Scan(Family::kMeta, prefix, keys::PrefixEnd(prefix));
  for (; cursor != nullptr && cursor->Valid() && rows < TlsTally::kMaxRows; cursor->Next()) ++rows;
  return rows >= TlsTally::kMaxRows;
}

void Add(Group& group, std::int64_t now, const std::string& domain, const TlsSession& session) {
  const std::uint32_t day = keys::Day(now);
  std::string key = keys::TlsReportRow(day, domain, Hash(session.SerializeAsString()));
  auto known = Find(group, key);
  TlsReportRow row;
  if (known.ok() && known->has_value()) {
    row = **std::move(known);
  } else {
    const std::string prefix = keys::TlsReportPrefix(day, domain);
    *row.mutable_session() = session;
    if (Full(group, prefix)) {
      *row.mutable_session() = Coarse(session, domain);
      key = keys::TlsReportRow(day, domain, Hash(row.session().SerializeAsString()));
      known = Find(group, key);
    }
    if (!known.ok()) key = KeyApart(day, domain);
    const bool fresh = !known.ok() || !known->has_value();
    if (fresh) ++group.new_tls_rows[prefix];
    if (!fresh) row = **std::move(known);
  }
  row.set_count(row.count() + 1);
  group.batch.Put(Family::kMeta, key, row.SerializeAsString());
  group.tls_rows[key] = std::move(row);
}

}  // namespace

TlsTally::TlsTally(std::string domain, std::int64_t now_micros,
                   const google::protobuf::RepeatedPtrField<TlsSession>& sessions)
    : domain_(std::move(domain)), now_(now_micros) {
  for (int i = 0; i < std::min(sessions.size(), kMaxSessions); ++i) {
    const bool small = sessions.Get(i).ByteSizeLong() <= kMaxSessionBytes;
    sessions_.push_back(small ? sessions.Get(i) : Coarse(sessions.Get(i), domain_));
  }
}

void TlsTally::Put(Group& group) const {
  for (const TlsSession& session : sessions_) Add(group, now_, domain_, session);
}

void TlsTally::Committed(Metrics& metrics) const {
  for (const TlsSession& session : sessions_) metrics.tls_sessions[session.result_type().empty() ? 0 : 1]->Increment();
}

}  // namespace hikyaku::queue
