#include "lib/queue/keys.h"

#include <algorithm>

#include "lib/base/message_id.h"

namespace hikyaku::queue::keys {
namespace {

constexpr std::size_t kId = MessageId::kBytes;

void AppendBig(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void Append(std::string& out, absl::string_view bytes) { out.append(bytes.data(), bytes.size()); }

std::uint64_t Unsigned(std::int64_t micros) { return static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0)); }

}  // namespace

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

std::string Big64(std::uint64_t value) {
  std::string out;
  AppendBig(out, value, 8);
  return out;
}

std::uint64_t ReadBig64(absl::string_view bytes) {
  if (bytes.size() < 8) return 0;
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::string Delivery(absl::string_view id, absl::string_view domain) {
  std::string key;
  key.reserve(id.size() + domain.size());
  Append(key, id);
  Append(key, domain);
  return key;
}

absl::string_view DeliveryId(absl::string_view key) { return key.substr(0, kId); }
absl::string_view DeliveryDomain(absl::string_view key) { return key.substr(std::min(kId, key.size())); }

std::string Body(absl::string_view id, std::uint64_t part) {
  std::string key(id);
  AppendBig(key, part, 8);
  return key;
}

std::string Due(std::int64_t micros, absl::string_view delivery_key) {
  std::string key;
  key.reserve(8 + delivery_key.size());
  AppendBig(key, Unsigned(micros), 8);
  Append(key, delivery_key);
  return key;
}

std::optional<DueParts> ParseDue(absl::string_view key) {
  if (key.size() <= 8 + kId) return std::nullopt;
  return DueParts{static_cast<std::int64_t>(ReadBig64(key)), key.substr(8)};
}

std::string ParkedPrefix(absl::string_view domain, int priority_class, absl::string_view tenant) {
  std::string key(domain);
  key.push_back('\0');
  key.push_back(static_cast<char>(priority_class));
  Append(key, tenant);
  key.push_back('\0');
  return key;
}

std::string Parked(absl::string_view domain, int priority_class, absl::string_view tenant, std::int64_t micros,
                   absl::string_view id) {
  std::string key = ParkedPrefix(domain, priority_class, tenant);
  AppendBig(key, Unsigned(micros), 8);
  Append(key, id);
  return key;
}

std::optional<ParkedParts> ParseParked(absl::string_view key) {
  constexpr std::size_t kTail = 1 + 8 + kId;
  const std::size_t domain = key.find('\0');
  if (domain == absl::string_view::npos || domain == 0 || key.size() < domain + 2 + kTail) return std::nullopt;
  const absl::string_view tail = key.substr(key.size() - kTail);
  if (tail[0] != '\0') return std::nullopt;
  return ParkedParts{key.substr(0, domain), static_cast<unsigned char>(key[domain + 1]),
                     key.substr(domain + 2, key.size() - kTail - domain - 2),
                     static_cast<std::int64_t>(ReadBig64(tail.substr(1))), tail.substr(9)};
}

std::string TracePrefix(absl::string_view id) {
  std::string key(1, 'm');
  Append(key, id);
  return key;
}

std::string Trace(absl::string_view id, std::uint64_t sequence) {
  std::string key = TracePrefix(id);
  AppendBig(key, sequence, 8);
  return key;
}

std::string HeaderPrefix(std::uint32_t day, absl::string_view hash) {
  std::string key(1, 'h');
  AppendBig(key, day, 4);
  Append(key, hash);
  return key;
}

std::string Header(std::uint32_t day, absl::string_view hash, absl::string_view id) {
  std::string key = HeaderPrefix(day, hash);
  Append(key, id);
  return key;
}

std::uint32_t Day(std::int64_t micros) {
  return static_cast<std::uint32_t>(Unsigned(micros) / (std::uint64_t{86'400} * 1'000'000));
}

std::string TlsReportDay(std::uint32_t day) {
  std::string key(kTlsReports);
  AppendBig(key, day, 4);
  return key;
}

std::string TlsReportPrefix(std::uint32_t day, absl::string_view domain) {
  std::string key = TlsReportDay(day);
  Append(key, domain);
  key.push_back('\0');
  return key;
}

std::string TlsReportRow(std::uint32_t day, absl::string_view domain, absl::string_view hash) {
  std::string key = TlsReportPrefix(day, domain);
  Append(key, hash);
  return key;
}

std::optional<TlsReportParts> ParseTlsReport(absl::string_view key) {
  constexpr std::size_t kDay = 4;
  constexpr std::size_t kTail = 1 + 16;
  const std::size_t front = kTlsReports.size() + kDay;
  if (key.substr(0, kTlsReports.size()) != kTlsReports || key.size() <= front + kTail) return std::nullopt;
  const absl::string_view domain = key.substr(front, key.size() - front - kTail);
  if (key[key.size() - kTail] != '\0' || domain.find('\0') != absl::string_view::npos) return std::nullopt;
  std::uint32_t day = 0;
  for (const char c : key.substr(kTlsReports.size(), kDay)) day = day << 8 | static_cast<unsigned char>(c);
  return TlsReportParts{day, domain};
}

}  // namespace hikyaku::queue::keys
