// Keys at rest, made and read. docs/formats.md draws them byte by byte; a change here is a change of the format.
//
// Integers are big-endian, so that the order of bytes is the order of numbers.
// Threading: pure.
#ifndef HIKYAKU_LIB_QUEUE_KEYS_H_
#define HIKYAKU_LIB_QUEUE_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::queue::keys {

inline constexpr absl::string_view kCounters = "counters";
inline constexpr absl::string_view kShard = "shard";
inline constexpr absl::string_view kSuspended = "suspended/";
inline constexpr absl::string_view kSts = "sts/";
// `meta`: this, then a body key: a body that may have no owner any more (reclaim.h).
inline constexpr absl::string_view kLeftBody = "left-body/";

// `meta`: this, then a day and a domain: what a report on TLS will tell (tls_tally.h).
inline constexpr absl::string_view kTlsReports = "tlsrpt/";

// The smallest key greater than every key that begins with `prefix`; empty: there is none.
std::string PrefixEnd(absl::string_view prefix);

std::string Big64(std::uint64_t value);
std::uint64_t ReadBig64(absl::string_view bytes);  // The first 8 bytes; 0 if there are fewer.

// `delivery`: id (16), domain.
std::string Delivery(absl::string_view id, absl::string_view domain);
absl::string_view DeliveryId(absl::string_view key);
absl::string_view DeliveryDomain(absl::string_view key);

// `body`: id (16), part (8).
std::string Body(absl::string_view id, std::uint64_t part);

// `due`: micros (8), delivery key. Times before 1970 are stored as 1970.
std::string Due(std::int64_t micros, absl::string_view delivery_key);
struct DueParts {
  std::int64_t micros;
  absl::string_view delivery_key;
};
std::optional<DueParts> ParseDue(absl::string_view key);

// `parked`: domain, NUL, priority class (1), tenant, NUL, micros (8), id (16).
std::string ParkedPrefix(absl::string_view domain, int priority_class, absl::string_view tenant);
std::string Parked(absl::string_view domain, int priority_class, absl::string_view tenant, std::int64_t micros,
                   absl::string_view id);
struct ParkedParts {
  absl::string_view domain;
  int priority_class;
  absl::string_view tenant;
  std::int64_t micros;
  absl::string_view id;
};
std::optional<ParkedParts> ParseParked(absl::string_view key);

// `trace`: 'm', id (16), sequence (8): the events of a message.
std::string TracePrefix(absl::string_view id);
std::string Trace(absl::string_view id, std::uint64_t sequence);

// `trace`: 'h', day of acceptance (4), hash of the Message-ID (16), id (16): messages by header. The day comes first so
// that old days can be dropped as one range.
std::string HeaderPrefix(std::uint32_t day, absl::string_view hash);
std::string Header(std::uint32_t day, absl::string_view hash, absl::string_view id);
std::uint32_t Day(std::int64_t micros);

// `meta`: "tlsrpt/", day (4), domain, NUL, hash (16).
std::string TlsReportDay(std::uint32_t day);
std::string TlsReportPrefix(std::uint32_t day, absl::string_view domain);
std::string TlsReportRow(std::uint32_t day, absl::string_view domain, absl::string_view hash);
struct TlsReportParts {
  std::uint32_t day;
  absl::string_view domain;
};
std::optional<TlsReportParts> ParseTlsReport(absl::string_view key);

}  // namespace hikyaku::queue::keys

#endif  // HIKYAKU_LIB_QUEUE_KEYS_H_
