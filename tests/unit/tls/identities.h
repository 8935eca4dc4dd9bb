// Certificates for tests: an authority, and what it and others issued.
#ifndef HIKYAKU_TESTS_UNIT_TLS_IDENTITIES_H_
#define HIKYAKU_TESTS_UNIT_TLS_IDENTITIES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/tls/context.h"
#include "lib/tls/make_certificate.h"
#include "lib/tls/peer_policy.h"

namespace hikyaku::tls {

inline const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

inline Identity MakeIdentity(const std::string& common_name, std::vector<std::string> names, const Identity* issuer,
                             absl::Duration left = absl::Hours(24), bool authority = false) {
  CertificateRequest request;
  request.common_name = common_name;
  request.dns_names = std::move(names);
  request.authority = authority;
  request.not_before = kNow - absl::Hours(100);
  request.not_after = kNow + left;
  return *MakeCertificate(request, issuer);
}

inline const Identity& Authority() {
  static const Identity* const authority =
      new Identity(MakeIdentity("Good CA", {}, nullptr, absl::Hours(24), /*authority=*/true));
  return *authority;
}

inline const Identity& OtherAuthority() {
  static const Identity* const authority =
      new Identity(MakeIdentity("Other CA", {}, nullptr, absl::Hours(24), /*authority=*/true));
  return *authority;
}

// By the good authority, for mx.test.
inline const Identity& GoodIdentity() {
  static const Identity* const good = new Identity(MakeIdentity("mx", {"mx.test"}, &Authority()));
  return *good;
}

inline std::shared_ptr<const ServerContext> Server(const Identity& identity) {
  return *ServerContext::Create(identity.certificate, identity.key);
}

// Believes the good authority. It is kNow.
inline std::shared_ptr<const ClientContext> Client(MinVersion version = MinVersion::kTls12) {
  static FakeClock* const clock = new FakeClock(kNow);
  return std::make_shared<const ClientContext>(*TrustRoots::FromPem(Authority().certificate), version, *clock);
}

}  // namespace hikyaku::tls

#endif  // HIKYAKU_TESTS_UNIT_TLS_IDENTITIES_H_
