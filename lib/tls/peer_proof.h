// What the certificates of a peer proved.
//
// Threading:  plain values.
#ifndef HIKYAKU_LIB_TLS_PEER_PROOF_H_
#define HIKYAKU_LIB_TLS_PEER_PROOF_H_

#include <string>

namespace hikyaku::tls {

// What stands in the way of the proof: the failure types of RFC 8460 §4.3.
enum class Flaw { kNone, kNoCertificate, kHostMismatch, kExpired, kNotTrusted, kOther };

struct PeerProof {
  bool verified = false;
  Flaw flaw = Flaw::kNone;
  std::string why;   // Why it is not verified, for people; empty when it is.
  std::string peer;  // "CN=mx.example.net, issued by CN=Example CA, until 2027-01-31"; as the peer says, not checked.
};

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_PEER_PROOF_H_
