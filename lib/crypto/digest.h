// Message digests and the comparison of secrets.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_CRYPTO_DIGEST_H_
#define HIKYAKU_LIB_CRYPTO_DIGEST_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::crypto {

// SHA-256 of `data` (FIPS 180-4): 32 bytes.
std::string Sha256(absl::string_view data);

// The same of data that comes in pieces. One owner.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void Update(absl::string_view piece);

  // Of all pieces. The last call.
  std::string Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether the two are equal, in a time that depends on their lengths only.
bool EqualConstantTime(absl::string_view a, absl::string_view b);

}  // namespace hikyaku::crypto

#endif  // HIKYAKU_LIB_CRYPTO_DIGEST_H_
