// What the hosts of the world prove themselves with, and what signs its mail: certificates of each mail host, good and
// bad ones, and DKIM keys in a folder. Made once a process: they differ from one process to the next, and what happens
// does not. Only the keys of certificates are always the same, since their TLSA records get into reports.
//
// Threading: made at the first call; constant from then on.
#ifndef HIKYAKU_TESTS_SIM_SECRETS_H_
#define HIKYAKU_TESTS_SIM_SECRETS_H_

#include <memory>
#include <string>
#include <vector>

#include "lib/delivery/dkim_keys.h"
#include "lib/dkim/verifier.h"
#include "lib/tls/context.h"
#include "lib/tls/make_certificate.h"
#include "lib/tls/peer_policy.h"

namespace hikyaku::sim {

// ---- TLS. ----

enum class Certificate {
  kGood,        // By the authority.
  kSelfSigned,  // By nobody.
  kExpired,     // By the authority, until an hour ago.
};

const tls::Identity& IdentityOf(const std::string& name, Certificate certificate);
const tls::Identity& Authority();

// Of a server with a certificate for `name`.
std::shared_ptr<const tls::ServerContext> ContextOf(const std::string& name, Certificate certificate);

// Believes the authority.
std::shared_ptr<const tls::TrustRoots> Roots();

// ---- DKIM. ----

// The From domain that has a row; any other has none.
inline constexpr char kSignedDomain[] = "client.test";

// Of its selectors these two have keys, and records in the DNS.
inline constexpr char kSelector[] = "k1";
inline constexpr char kOtherSelector[] = "k2";

// The row of kSignedDomain with `selectors`.
delivery::DkimOptions SigningOptions(std::vector<std::string> selectors);

// The DNS, for dkim::Verify.
dkim::KeyAnswer LookUpKey(const std::string& name);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_SECRETS_H_
