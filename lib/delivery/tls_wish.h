// What the sender of a mail asks for its TLS, and what becomes of a host's policy by that.
//
// A mail that requires TLS goes only to a host that proves itself by its certificate or by DANE, under a name that is
// certain: DNS without DNSSEC could name any host, so such a name needs an MTA-STS policy that is enforced, unless it
// is the recipients' domain itself or the operator wrote it. That the host then offers REQUIRETLS is for the attempt to
// see. A report about such a mail goes as any mail does, and asks for the same where it can (§5: it is not lost for
// it). A mail that waives TLS is sent as if the domain had published nothing; what the operator asks for holds all the
// same.
//
// Source:     RFC 8689 §2, §3, §4.2, §5.
// Threading:  pure.
#ifndef HIKYAKU_LIB_DELIVERY_TLS_WISH_H_
#define HIKYAKU_LIB_DELIVERY_TLS_WISH_H_

#include "hikyaku/storage/v1/records.pb.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/plan.h"
#include "lib/delivery/route.h"
#include "lib/delivery/tls_policy.h"

namespace hikyaku::delivery {

enum class TlsWish { kNone, kRequired, kWhereOffered, kWaived };

// A socket is within this machine: what goes there is delivered, and nothing is asked of it (§4.4).
TlsWish WishOf(const storage::v1::Envelope& envelope, const NextHop& hop);

// The policy of every host for a mail that waives TLS.
HostPolicy WaivedPolicy(const TlsSettings& settings, const NextHop& hop);

// Whether `host`, under `policy`, has a name that no forged answer of the DNS can have given it.
bool HasCertainName(const PlannedHost& host, const NextHop& hop, const HostPolicy& policy);

// Raises `policy` to what a mail that requires TLS needs; or sets its trouble.
void RequireProof(const PlannedHost& host, const NextHop& hop, HostPolicy* policy);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_TLS_WISH_H_
