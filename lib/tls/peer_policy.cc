#include "lib/tls/peer_policy.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/tls/chain.h"
#include "lib/tls/dane_check.h"
#include "lib/tls/pem.h"
#include "openssl/err.h"
#include "openssl/x509.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kMaxRoots = 1000;

}  // namespace

TrustRoots::TrustRoots() : store_(X509_STORE_new()) {}

TrustRoots::~TrustRoots() { X509_STORE_free(store_); }

absl::StatusOr<std::shared_ptr<const TrustRoots>> TrustRoots::FromPem(absl::string_view pem) {
  ASSIGN_OR_RETURN(const auto certificates, ReadCertificates(pem, kMaxRoots));
  auto roots = std::make_shared<TrustRoots>();
  for (const auto& certificate : certificates) X509_STORE_add_cert(roots->store_, certificate.get());
  ERR_clear_error();  // One that is given twice is no harm.
  return std::shared_ptr<const TrustRoots>(std::move(roots));
}

std::string PeerPolicy::CacheKey() const {
  std::string key = absl::StrCat(enforce ? "!" : "?", host);
  if (dane) absl::StrAppend(&key, " ", DaneKey(*dane));
  return key;
}

PeerProof JudgePeer(absl::Span<const absl::string_view> chain, const PeerPolicy& policy, const TrustRoots& roots,
                    absl::Time now) {
  Chain read = ReadChain(chain);
  if (read.certificates == nullptr) return std::move(read.proof);
  if (policy.dane) return JudgeDane(std::move(read), *policy.dane, now);
  Path path;
  path.anchors = roots.store();
  path.names = {policy.host};
  path.now = now;
  return Verify(std::move(read), path);
}

}  // namespace hikyaku::tls
