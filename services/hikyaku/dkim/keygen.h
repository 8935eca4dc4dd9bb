// Makes a DKIM key: the file that signs, and the record that shows its public half.
#ifndef HIKYAKU_SERVICES_HIKYAKU_DKIM_KEYGEN_H_
#define HIKYAKU_SERVICES_HIKYAKU_DKIM_KEYGEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/crypto/signing_key.h"

namespace hikyaku::cli {

struct KeygenOptions {
  std::string domain;  // Any spelling.
  std::string selector;
  std::string folder = ".";
  bool ed25519 = false;
  int bits = 2048;  // Of RSA.
};

struct NewKey {
  std::string path;
  std::string record;  // A line of a zone file, in BIND's form.
};

// Writes the file, which only its owner can read, all of it or nothing.
// kInvalidArgument: no domain, no selector, bits that nobody takes. kAlreadyExists: the file is there; it is left as it
// is. kUnavailable: the folder or the disk.
absl::StatusOr<NewKey> MakeKey(const KeygenOptions& options);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_DKIM_KEYGEN_H_
