// DKIM keys in a folder of the test's own.
#ifndef HIKYAKU_TESTS_UNIT_DELIVERY_KEY_FILES_H_
#define HIKYAKU_TESTS_UNIT_DELIVERY_KEY_FILES_H_

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/crypto/signing_key.h"

namespace hikyaku::delivery {

class KeyFiles {
 public:
  KeyFiles() {
    std::string pattern = absl::StrCat(std::getenv("TEST_TMPDIR"), "/keys.XXXXXX");
    folder_ = mkdtemp(pattern.data());
  }

  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  // Replaced as a whole, as an editor or Kubernetes does: another file under the same name.
  void Write(const std::string& name, const std::string& text) const {
    const std::string draft = Path(absl::StrCat(name, ".draft"));
    std::ofstream(draft) << text;
    chmod(draft.c_str(), 0600);
    rename(draft.c_str(), Path(name).c_str());
  }

  // Of Ed25519, which costs nothing to make.
  crypto::SigningKey Make(const std::string& name) const {
    crypto::SigningKey key = crypto::SigningKey::GenerateEd25519();
    Write(name, key.ToPem());
    return key;
  }

 private:
  std::string folder_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_TESTS_UNIT_DELIVERY_KEY_FILES_H_
