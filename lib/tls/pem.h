// PEM text and BoringSSL's objects: for the .cc files of lib/tls alone, since it includes BoringSSL.
//
// Threading: pure functions.
#ifndef HIKYAKU_LIB_TLS_PEM_H_
#define HIKYAKU_LIB_TLS_PEM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "openssl/base.h"

namespace hikyaku::tls {

// 1 to `most` certificates. kInvalidArgument: none, too many, larger than kMaxPem, or one that cannot be read.
absl::StatusOr<std::vector<bssl::UniquePtr<X509>>> ReadCertificates(absl::string_view pem, std::size_t most);

// A key without a password. kInvalidArgument: there is none that can be read.
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadKey(absl::string_view pem);

// What BoringSSL noted last on this thread, "" if nothing; clears it.
std::string TakeError();

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_PEM_H_
