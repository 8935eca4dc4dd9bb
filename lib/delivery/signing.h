// The signatures of one attempt: who signs is settled when it begins, the fields are made when the bytes that go out
// are known, once for all its recipients and hosts.
//
// Source:     RFC 6376 §5.1 (the domain of From), §5.3 (sign what is sent: after every conversion).
// Non-goals:  keys and rows (dkim_keys.h); the form of a signature (lib/dkim/signer.h).
// Threading:  one owner, the coroutine of the attempt; it signs on the executor it runs on (docs/adr/0004).
#ifndef HIKYAKU_LIB_DELIVERY_SIGNING_H_
#define HIKYAKU_LIB_DELIVERY_SIGNING_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/mime/header.h"
#include "lib/net/asio.h"

namespace hikyaku::delivery {

class Signing {
 public:
  // A body is hashed in parts of this size, and other sessions get a turn between them: about 0.3 ms each.
  static constexpr std::size_t kSlice = 256 * 1024;

  // `keyring` may be null: then nothing is signed, and nothing below costs anything. `message`, header and body, is
  // what was accepted; it outlives this object.
  Signing(const DkimKeyring* keyring, absl::string_view message);

  // Ok: no signature is wanted, or every one that is can be made, as far as is known. Ask before a host is: else
  // (kFailedPrecondition; the text names domain and selector) the mail waits.
  absl::Status Ready();

  // Makes the fields for `message`: what was accepted, or the form of it that goes out, which is kept in place as long
  // as this object. Nothing is done where they are made. kCancelled: we are stopping. kInternal: the mail waits.
  awaitable<absl::Status> Sign(absl::string_view message, absl::Time now);

  // What stands before `message` when it is sent: the fields, or nothing.
  absl::string_view HeadOf(absl::string_view message) const;

 private:
  awaitable<absl::StatusOr<std::string>> DigestBody(absl::string_view body) const;
  absl::Status ChooseKeys();

  const absl::string_view message_;
  std::shared_ptr<const DkimKeys> keys_;
  const DkimKeyList* chosen_ = nullptr;  // Of keys_; null: no signature is wanted.
  std::optional<absl::Status> ready_;
  std::map<const char*, std::string> heads_;  // By where the message begins.
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_SIGNING_H_
