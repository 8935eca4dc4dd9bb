#include "lib/dkim/verifier.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/digest.h"
#include "lib/dkim/header_digest.h"
#include "lib/dkim/key_record.h"

namespace hikyaku::dkim {
namespace {

Verdict Say(Verdict verdict, Result result, absl::string_view reason) {
  verdict.result = result;
  verdict.reason = std::string(reason);
  return verdict;
}

// i= is of d= itself.
bool IsExact(const Signature& signature) {
  return absl::EndsWithIgnoreCase(signature.identity, absl::StrCat("@", signature.domain));
}

// Of several records, the verdict that tells most: a pass, then a signature that was compared.
bool Better(const Verdict& a, const Verdict& b) { return static_cast<int>(a.result) < static_cast<int>(b.result); }

}  // namespace

absl::string_view ResultName(Result result) {
  switch (result) {
    case Result::kPass: return "pass";
    case Result::kFail: return "fail";
    case Result::kPermError: return "permerror";
    case Result::kTempError: return "temperror";
  }
  return "permerror";
}

std::string Verdict::ToString() const {
  std::string line(ResultName(result));
  if (!domain.empty()) absl::StrAppend(&line, ": d=", domain, " s=", selector, " a=", algorithm);
  if (key_bits > 0) absl::StrAppend(&line, " (", key_bits, " bits)");
  if (!reason.empty()) absl::StrAppend(&line, ": ", reason);
  return line;
}

absl::StatusOr<Verification> Verification::Start(absl::string_view message, std::int64_t now) {
  ASSIGN_OR_RETURN(mime::HeaderFields header, mime::HeaderFields::Parse(message));
  Verification verification(std::move(header), now);
  for (const mime::HeaderField& field : verification.header_.fields()) {
    if (!field.Is(kSignatureField)) continue;
    if (verification.items_.size() < kMaxSignatures) {
      verification.Add(field);
    } else {
      ++verification.skipped_;
    }
  }
  return verification;
}

// A body is hashed once for all signatures that take the same form and length of it.
void Verification::Add(const mime::HeaderField& field) {
  Item item;
  item.raw = field.raw;
  item.signature = ParseSignature(field.value);
  if (item.signature.ok()) {
    const auto same = std::find_if(items_.begin(), items_.end(), [&](const Item& other) {
      return other.signature.ok() && other.signature->body_form == item.signature->body_form &&
             other.signature->body_octets == item.signature->body_octets;
    });
    if (same != items_.end()) {
      item.body_digest = same->body_digest;
      item.body_octets = same->body_octets;
    } else {
      BodyHasher hasher(item.signature->body_form, item.signature->body_octets.value_or(BodyHasher::kNoLimit));
      hasher.Update(header_.body());
      item.body_digest = hasher.Finish();
      item.body_octets = hasher.octets();
    }
  }
  items_.push_back(std::move(item));
}

std::string Verification::KeyName(std::size_t index) const {
  const absl::StatusOr<Signature>& signature = items_[index].signature;
  return signature.ok() ? signature->KeyName() : "";
}

Verdict Verification::Judge(std::size_t index, const KeyAnswer& answer) const {
  const Item& item = items_[index];
  Verdict verdict;
  if (!item.signature.ok()) return Say(verdict, Result::kPermError, item.signature.status().message());
  verdict.domain = item.signature->domain;
  verdict.selector = item.signature->selector;
  verdict.algorithm = std::string(AlgorithmName(item.signature->key_type));
  const std::string name = item.signature->KeyName();
  if (absl::IsNotFound(answer.status()) || absl::IsInvalidArgument(answer.status()) ||
      (answer.ok() && answer->empty())) {
    return Say(verdict, Result::kPermError, absl::StrCat("there is no key: no TXT record at ", name));
  }
  if (!answer.ok()) {
    return Say(verdict, Result::kTempError,
               absl::StrCat("the key at ", name, " could not be had: ", answer.status().message()));
  }
  Verdict best = JudgeKey(item, answer->front(), verdict);
  for (std::size_t i = 1; i < std::min(answer->size(), kMaxKeyRecords); ++i) {
    Verdict other = JudgeKey(item, (*answer)[i], verdict);
    if (Better(other, best)) best = std::move(other);
  }
  return best;
}

Verdict Verification::JudgeKey(const Item& item, absl::string_view text, Verdict verdict) const {
  const Signature& signature = *item.signature;
  const auto record = ParseKeyRecord(text);
  if (!record.ok()) return Say(verdict, Result::kPermError, record.status().message());
  if (record->key.empty()) return Say(verdict, Result::kFail, "the key was withdrawn (p= is empty)");
  if (record->type != signature.key_type) {
    return Say(verdict, Result::kPermError, "the key is of another kind than a= says");
  }
  if (record->exact && !IsExact(signature)) {
    return Say(verdict, Result::kPermError, "the key is not for subdomains (t=s), and i= is one");
  }
  const auto key = crypto::VerifyingKey::Parse(record->type, record->key);
  if (!key.ok()) return Say(verdict, Result::kPermError, absl::StrCat("the key ", key.status().message()));
  verdict.key_bits = key->bits();
  const std::string digest = HeaderDigest(header_, {signature.signed_names.begin(), signature.signed_names.end()},
                                          signature.header_form, WithoutSignatureBytes(item.raw));
  if (!key->Verify(digest, signature.bytes)) {
    return Say(verdict, Result::kFail,
               "a signed header field was changed, added or removed, or the key is not the signer's");
  }
  return JudgeBody(item, std::move(verdict));
}

// The header is as it was signed, so that bh= and the times can be believed.
Verdict Verification::JudgeBody(const Item& item, Verdict verdict) const {
  const Signature& signature = *item.signature;
  if (signature.body_octets && *signature.body_octets > item.body_octets) {
    return Say(verdict, Result::kFail,
               absl::StrCat("the body was cut: l=", *signature.body_octets, ", and ", item.body_octets, " are left"));
  }
  if (!crypto::EqualConstantTime(signature.body_digest, item.body_digest)) {
    return Say(verdict, Result::kFail, "the body was changed");
  }
  if (signature.expires && *signature.expires < now_)
    return Say(verdict, Result::kFail, "the signature has expired (x=)");
  if (signature.body_octets && *signature.body_octets < item.body_octets) {
    return Say(verdict, Result::kPass,
               absl::StrCat("beware: the last ", item.body_octets - *signature.body_octets,
                            " octets of the body are not signed (l=)"));
  }
  return Say(verdict, Result::kPass, "");
}

absl::StatusOr<std::vector<Verdict>> Verify(absl::string_view message, std::int64_t now,
                                            const std::function<KeyAnswer(const std::string& name)>& lookup) {
  ASSIGN_OR_RETURN(const Verification verification, Verification::Start(message, now));
  std::vector<Verdict> verdicts;
  for (std::size_t i = 0; i < verification.size(); ++i) {
    const std::string name = verification.KeyName(i);
    verdicts.push_back(verification.Judge(i, name.empty() ? KeyAnswer(absl::NotFoundError("")) : lookup(name)));
  }
  return verdicts;
}

}  // namespace hikyaku::dkim
