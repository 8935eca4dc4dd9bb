#include "services/hikyaku/dkim/keygen.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/dkim/key_record.h"

namespace hikyaku::cli {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(path, " cannot be ", what, ": ", std::strerror(errno)));
}

absl::Status WriteWhole(const std::string& path, absl::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("made", path);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const absl::Status status = written ? absl::OkStatus() : Failed("written", path);
  close(fd);
  return status;
}

// By way of a file of another name, so that whoever watches the folder never sees half a key; link(2) replaces nothing.
absl::Status WriteNew(const std::string& path, absl::string_view text) {
  const std::string draft = absl::StrCat(path, ".", getpid(), ".new");
  absl::Status status = WriteWhole(draft, text);
  if (status.ok() && link(draft.c_str(), path.c_str()) != 0) {
    status = errno == EEXIST ? absl::AlreadyExistsError(absl::StrCat(
                                   path, " is there already, and was left as it is: choose another selector"))
                             : Failed("made", path);
  }
  unlink(draft.c_str());
  return status;
}

absl::StatusOr<crypto::SigningKey> Generate(const KeygenOptions& options) {
  if (options.ed25519) return crypto::SigningKey::GenerateEd25519();
  return crypto::SigningKey::GenerateRsa(options.bits);
}

}  // namespace

absl::StatusOr<NewKey> MakeKey(const KeygenOptions& options) {
  const auto domain = address::ToALabel(options.domain);
  if (!domain.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.domain, "\" is no domain: ", domain.status().message()));
  }
  const auto selector = address::ToALabel(options.selector);
  if (!selector.ok() || *selector != absl::AsciiStrToLower(options.selector)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", options.selector, "\" is no selector: write letters, digits, hyphens and dots, as in k2026a"));
  }
  const auto key = Generate(options);
  if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat("that ", key.status().message()));
  NewKey made;
  made.path = absl::StrCat(options.folder, "/", delivery::DkimFileName(*selector, *domain));
  RETURN_IF_ERROR(WriteNew(made.path, key->ToPem()));
  made.record = absl::StrCat(*selector, "._domainkey.", *domain, ". IN TXT ( ",
                             dkim::FormatTxtData(dkim::FormatKeyRecord(*key)), " )");
  return made;
}

}  // namespace hikyaku::cli
