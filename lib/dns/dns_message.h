// Reads the answers of DNS servers, which strangers write: pure, and bounded in time and memory.
//
// Source:    RFC 1035 §4.1 (format), §4.1.4 (compression), RFC 3596 (AAAA), RFC 2308 §5 (negative TTL), RFC 4035 (AD),
// RFC 6698
//            §2.1 (TLSA).
// Non-goals: writing queries (c-ares does); record types that no mail needs.
// Threading: pure functions.
#ifndef HIKYAKU_LIB_DNS_DNS_MESSAGE_H_
#define HIKYAKU_LIB_DNS_DNS_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"

namespace hikyaku::dns {

inline constexpr std::size_t kMaxMessage = 65535;    // RFC 1035 §4.2.2: what TCP can carry.
inline constexpr std::size_t kMaxRecords = 1000;     // Of an answer; the rest is not read.
inline constexpr std::size_t kMaxTextRecord = 8192;  // A TXT record, joined; a longer one is skipped.
inline constexpr std::size_t kMaxTlsaRecord = 8192;  // A longer one loses all but its first three octets: never usable.
inline constexpr int kMaxAliases = 16;               // CNAMEs in a row: as many as BIND follows.

enum class RecordType : std::uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kTlsa = 52,
};

enum class ResponseCode : std::uint8_t { kNoError = 0, kServFail = 2, kNxDomain = 3 };  // Others keep their number.

// What a record of the asked type holds; which members mean something depends on the type.
struct RecordData {
  address::IpAddress address;    // A, AAAA.
  std::uint16_t preference = 0;  // MX.
  std::string text;              // MX, PTR, CNAME: a name. TXT: its strings, joined. TLSA: its data as they came.

  bool operator==(const RecordData&) const = default;
};

struct Response {
  ResponseCode code = ResponseCode::kNoError;
  bool authenticated = false;       // AD.
  std::vector<RecordData> records;  // Of the asked type, at the asked name or at the end of its aliases.
  std::string name;                 // Where the aliases of the asked name end: itself, where it has none.
  absl::Duration ttl;               // The smallest of the records and the aliases before them; zero if there are none.
  std::optional<absl::Duration> negative_ttl;  // From the zone's SOA, where one came.
};

// Reads the answer to the question for `type` of `name` (in the form that NormaliseName gives). Records that do not
// belong to the name are ignored: they may be an attempt at cache poisoning. kInvalidArgument: not a DNS message, damaged,
// or no answer: cut (TC), a referral to other servers, aliases without an end. None of these says that there is nothing.
absl::StatusOr<Response> ParseResponse(absl::string_view message, absl::string_view name, RecordType type);

// Lower case, no trailing dot. kInvalidArgument for what DNS cannot carry as a host name: empty, over 253 bytes, a
// label that is empty or over 63 bytes, anything but letters, digits, `-` and `_`.
absl::StatusOr<std::string> NormaliseName(absl::string_view name);

// `1.2.0.192.in-addr.arpa` and its like for IPv6 (RFC 3596 §2.5).
std::string ReverseName(const address::IpAddress& address);

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_DNS_MESSAGE_H_
