// Checks the DKIM signatures of a message, in two steps, since keys come from the DNS: Verification reads the message
// and names the records that are needed; Judge takes one answer.
//
// Source:     RFC 6376 §6; RFC 8301; RFC 8463; RFC 8601 §2.7.1 (the names of results).
// Non-goals:  DNS; DMARC.
// Threading:  one owner.
#ifndef HIKYAKU_LIB_DKIM_VERIFIER_H_
#define HIKYAKU_LIB_DKIM_VERIFIER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/dkim/signature.h"
#include "lib/mime/header.h"

namespace hikyaku::dkim {

// More are not looked at: each costs a DNS query, a pass over the body, and a signature.
inline constexpr std::size_t kMaxSignatures = 10;

// Of one name; a receiver may take any of several, each costs a signature.
inline constexpr std::size_t kMaxKeyRecords = 4;

enum class Result {
  kPass,
  kFail,       // The message or the key is not what was signed.
  kPermError,  // The signature or its key can never be checked.
  kTempError,  // The key could not be had now.
};

absl::string_view ResultName(Result result);  // pass, fail, permerror, temperror

struct Verdict {
  Result result = Result::kPermError;
  std::string reason;  // For people; not empty but for a pass without anything to say.
  std::string domain;  // d=, s= and a=: empty where the signature could not be read.
  std::string selector;
  std::string algorithm;
  int key_bits = 0;  // 0: there was no key.

  // One line: "pass: d=example.com s=k1 a=rsa-sha256 (2048 bits)".
  std::string ToString() const;
};

// What DNS says: the TXT records of a name, each with its strings joined. kNotFound: no such name. Another error: for
// now.
using KeyAnswer = absl::StatusOr<std::vector<std::string>>;

class Verification {
 public:
  // `message` has CRLF line ends and outlives the verification. `now`: Unix seconds.
  // kInvalidArgument: the header cannot be read; nothing can be said of its signatures.
  static absl::StatusOr<Verification> Start(absl::string_view message, std::int64_t now);

  // Signatures, from the top, at most kMaxSignatures.
  std::size_t size() const { return items_.size(); }

  // Signatures beyond kMaxSignatures.
  std::size_t skipped() const { return skipped_; }

  // The name whose TXT records Judge wants; empty: none are needed, the verdict is known.
  std::string KeyName(std::size_t index) const;

  // The verdict on one signature. `answer` is ignored where KeyName is empty.
  Verdict Judge(std::size_t index, const KeyAnswer& answer) const;

 private:
  struct Item {
    absl::string_view raw;
    absl::StatusOr<Signature> signature = absl::UnknownError("");
    std::string body_digest;        // Of the body as it came.
    std::uint64_t body_octets = 0;  // Of its form.
  };

  explicit Verification(mime::HeaderFields header, std::int64_t now) : header_(std::move(header)), now_(now) {}

  void Add(const mime::HeaderField& field);
  Verdict JudgeBody(const Item& item, Verdict verdict) const;
  Verdict JudgeKey(const Item& item, absl::string_view record, Verdict verdict) const;

  mime::HeaderFields header_;
  std::int64_t now_;
  std::vector<Item> items_;
  std::size_t skipped_ = 0;
};

// Both steps with a function that knows the records. Empty: the message has no signature.
absl::StatusOr<std::vector<Verdict>> Verify(absl::string_view message, std::int64_t now,
                                            const std::function<KeyAnswer(const std::string& name)>& lookup);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_VERIFIER_H_
