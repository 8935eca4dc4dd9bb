#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/small_file.h"
#include "lib/base/status_macros.h"
#include "lib/config/defaults.h"
#include "lib/config/validate.h"
#include "lib/crypto/certificate.h"

namespace hikyaku::config {
namespace {

// The system's own list of authorities has a quarter of a MiB.
constexpr std::size_t kMaxFile = std::size_t{16} << 20;

class Files {
 public:
  explicit Files(const SourceMap& source) : source_(source) {}

  absl::StatusOr<std::string> Read(absl::string_view key, const std::string& path) const {
    auto file = ReadSmallFile(path, kMaxFile);
    if (absl::IsInvalidArgument(file.status())) {
      return Error(key, path, absl::StrCat("cannot be read: it ", file.status().message()));
    }
    if (!file.ok()) return Error(key, path, file.status().message());
    return std::move(file->text);
  }

  absl::Status Error(absl::string_view key, const std::string& path, absl::string_view what) const {
    return source_.Error(key, absl::StrCat(path, " ", what, ": name another PEM file"));
  }

 private:
  const SourceMap& source_;
};

// Whom workers believe, where that is not the system's list.
absl::Status CheckRoots(const v1::DeliveryTls& tls, const Files& files) {
  constexpr char kKey[] = "delivery.tls.ca_file";
  if (tls.ca_file().empty() || tls.ca_file() == kSystemRoots) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string roots, files.Read(kKey, tls.ca_file()));
  // Each of them is read when the worker starts.
  const bool any = absl::StrContains(roots, "-----BEGIN CERTIFICATE-----");
  return any ? absl::OkStatus() : files.Error(kKey, tls.ca_file(), "holds no certificate in PEM");
}

}  // namespace

absl::Status CheckTlsFiles(const v1::Config& config, Role role, const SourceMap& source) {
  const Files files(source);
  if (HasDelivery(role)) RETURN_IF_ERROR(CheckRoots(config.delivery().tls(), files));
  if (role == Role::kAll || !config.queue().has_tls()) return absl::OkStatus();
  const v1::InternalTls& tls = config.queue().tls();
  ASSIGN_OR_RETURN(const std::string ca, files.Read("queue.tls.ca", tls.ca()));
  ASSIGN_OR_RETURN(const std::string certificate, files.Read("queue.tls.certificate", tls.certificate()));
  ASSIGN_OR_RETURN(const std::string key, files.Read("queue.tls.key", tls.key()));
  if (const auto expiry = crypto::CertificateExpiry(ca); !expiry.ok()) {
    return files.Error("queue.tls.ca", tls.ca(), expiry.status().message());
  }
  if (const auto expiry = crypto::CertificateExpiry(certificate); !expiry.ok()) {
    return files.Error("queue.tls.certificate", tls.certificate(), expiry.status().message());
  }
  if (const absl::Status fits = crypto::CheckKey(certificate, key); !fits.ok()) {
    return files.Error("queue.tls.key", tls.key(), fits.message());
  }
  if (const absl::Status issued = crypto::CheckIssuer(certificate, ca); !issued.ok()) {
    return files.Error("queue.tls.certificate", tls.certificate(), issued.message());
  }
  return absl::OkStatus();
}

}  // namespace hikyaku::config
