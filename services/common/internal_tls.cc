#include "services/common/internal_tls.h"

#include <fstream>
#include <sstream>
#include <string>

#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "lib/crypto/certificate.h"

namespace hikyaku {
namespace {

metrics::Gauge& ExpiryGauge() {
  return metrics::DeclareGauge("hikyaku_internal_certificate_expiry_timestamp_seconds",
                               "Unix time at which the certificate of queue.tls runs out; 0: it cannot be read.");
}

void UpdateGauge(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const auto expiry = crypto::CertificateExpiry(text.str());
  ExpiryGauge().Set(expiry.ok() ? static_cast<double>(absl::ToUnixSeconds(*expiry)) : 0);
}

}  // namespace

InternalTls::InternalTls(const v1::Config& config) {
  if (config.queue().has_tls()) tls_ = config.queue().tls();
  if (!tls_) return;
  files_ = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      tls_->key(), tls_->certificate(), tls_->ca(), static_cast<unsigned int>(absl::ToInt64Seconds(kReread)));
  hook_ = std::make_unique<metrics::ScrapeHook>([path = tls_->certificate()] { UpdateGauge(path); });
}

std::shared_ptr<grpc::ServerCredentials> InternalTls::Server() const {
  if (!tls_) return grpc::InsecureServerCredentials();
  grpc::experimental::TlsServerCredentialsOptions options(files_);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> InternalTls::Client() const {
  if (!tls_) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(files_);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace hikyaku
