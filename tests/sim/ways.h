// Which ways to a host are open to a mail: what the operator, the DNS, the domain and the sender ask for, together, in
// a few lines of its own.
//
// Threading: pure.
#ifndef HIKYAKU_TESTS_SIM_WAYS_H_
#define HIKYAKU_TESTS_SIM_WAYS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/delivery/tls_demand.h"
#include "tests/sim/dns_books.h"
#include "tests/sim/domains.h"
#include "tests/sim/secrets.h"

namespace hikyaku::sim {

// What a sender asks of TLS (RFC 8689).
enum class SenderTls { kNone, kRequired, kWaived };

// How a host sees the connection that a mail came by.
struct Channel {
  int worker = -1;
  int host = -1;
  bool offered = false;  // STARTTLS was announced, and not refused.
  bool tls = false;
  Certificate certificate = Certificate::kGood;  // Shown at the handshake...
  bool own_name = false;                         // ... and it is this host's, not its neighbour's.
  bool announces_require_tls = false;            // REQUIRETLS, within TLS.
  bool says_require_tls = false;                 // In MAIL of this transaction.

  // By an authority that workers believe.
  bool proved() const { return tls && own_name && certificate == Certificate::kGood; }
};

struct Way {
  delivery::TlsLevel level = delivery::TlsLevel::kNone;  // Up to kVerify.
  std::optional<Tlsa> records = {};                      // With kVerify: by which the host proves itself.
  bool listed = false;                                   // Only to hosts that the domain's MTA-STS policy lists.
};

// `by_sts`: the attempt knew the MTA-STS policy of `domain`. Empty: the host is closed to it.
std::vector<Way> WaysTo(absl::string_view domain, const Told& told, SenderTls asked, bool by_sts);

// What is wrong with `channel` for `way`; empty: nothing.
std::string WrongWith(const Channel& channel, const Way& way, absl::string_view domain);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_WAYS_H_
