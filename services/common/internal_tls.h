// The credentials with which the services of one cluster speak to each other: mTLS with the cluster's own authority, as
// queue.tls says, or none where it says nothing (then validation has seen to it that all are on loopback).
//
// Files that change are read again by gRPC itself, every kReread, for connections made from then on; those that are
// open stay. While files cannot be read, or do not belong together, what was read before stays in force, or handshakes
// fail until they do.
//
// Threading: from any thread.
#ifndef HIKYAKU_SERVICES_COMMON_INTERNAL_TLS_H_
#define HIKYAKU_SERVICES_COMMON_INTERNAL_TLS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/metrics/metrics.h"

namespace hikyaku {

class InternalTls {
 public:
  static constexpr absl::Duration kReread = absl::Seconds(5);

  explicit InternalTls(const v1::Config& config);

  // For the shard's door: every client must show a certificate that the authority issued.
  std::shared_ptr<grpc::ServerCredentials> Server() const;

  // For who calls a shard: the certificate of the shard must come from the authority and bear the name that was
  // dialled, or tls.server_name.
  std::shared_ptr<grpc::ChannelCredentials> Client() const;

  // Beside Client(): tls.server_name, or nothing.
  std::string server_name() const { return tls_ ? tls_->server_name() : ""; }

 private:
  std::optional<v1::InternalTls> tls_;
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> files_;
  std::unique_ptr<metrics::ScrapeHook> hook_;  // Keeps the gauge of the certificate's end.
};

}  // namespace hikyaku

#endif  // HIKYAKU_SERVICES_COMMON_INTERNAL_TLS_H_
