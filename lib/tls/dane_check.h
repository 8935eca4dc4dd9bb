// Whether the certificates of a peer fit its TLSA records: for the .cc files of lib/tls alone.
//
// Source:    RFC 7671 §5, RFC 7672 §3.1, §3.2.
// Threading: pure functions.
#ifndef HIKYAKU_LIB_TLS_DANE_CHECK_H_
#define HIKYAKU_LIB_TLS_DANE_CHECK_H_

#include <string>

#include "absl/time/time.h"
#include "lib/tls/chain.h"
#include "lib/tls/dane.h"
#include "lib/tls/peer_proof.h"

namespace hikyaku::tls {

// DANE-EE(3): the peer's certificate fits a record; its names and dates do not matter, since whoever publishes the
// record answers for them. DANE-TA(2): a path leads from it to a certificate or key that fits one, and bears the name.
// The work is bounded by kMaxChain and kMaxTlsaRecords.
PeerProof JudgeDane(Chain chain, const DaneDemand& demand, absl::Time now);

// The same for equal demands alone.
std::string DaneKey(const DaneDemand& demand);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_DANE_CHECK_H_
