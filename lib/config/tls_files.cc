#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/config/validate.h"
#include "lib/crypto/certificate.h"

namespace hikyaku::config {
namespace {

class Files {
 public:
  explicit Files(const SourceMap& source) : source_(source) {}

  absl::StatusOr<std::string> Read(absl::string_view key, const std::string& path) const {
    std::ifstream file(path);
    if (!file) return Error(key, path, absl::StrCat("cannot be read: ", std::strerror(errno)));
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Error(key, path, "cannot be read: is it a file?");
    return text.str();
  }

  absl::Status Error(absl::string_view key, const std::string& path, absl::string_view what) const {
    return source_.Error(absl::StrCat("queue.tls.", key), absl::StrCat(path, " ", what, ": name another PEM file"));
  }

 private:
  const SourceMap& source_;
};

}  // namespace

absl::Status CheckTlsFiles(const v1::Config& config, Role role, const SourceMap& source) {
  if (role == Role::kAll || !config.queue().has_tls()) return absl::OkStatus();
  const v1::InternalTls& tls = config.queue().tls();
  const Files files(source);
  ASSIGN_OR_RETURN(const std::string ca, files.Read("ca", tls.ca()));
  ASSIGN_OR_RETURN(const std::string certificate, files.Read("certificate", tls.certificate()));
  ASSIGN_OR_RETURN(const std::string key, files.Read("key", tls.key()));
  if (const auto expiry = crypto::CertificateExpiry(ca); !expiry.ok()) {
    return files.Error("ca", tls.ca(), expiry.status().message());
  }
  if (const auto expiry = crypto::CertificateExpiry(certificate); !expiry.ok()) {
    return files.Error("certificate", tls.certificate(), expiry.status().message());
  }
  if (const absl::Status fits = crypto::CheckKey(certificate, key); !fits.ok()) {
    return files.Error("key", tls.key(), fits.message());
  }
  if (const absl::Status issued = crypto::CheckIssuer(certificate, ca); !issued.ok()) {
    return files.Error("certificate", tls.certificate(), issued.message());
  }
  return absl::OkStatus();
}

}  // namespace hikyaku::config
