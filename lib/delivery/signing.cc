#include "lib/delivery/signing.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/address/mailbox.h"
#include "lib/base/status_macros.h"
#include "lib/dkim/signature.h"
#include "lib/metrics/metrics.h"
#include "lib/net/sleep.h"

namespace hikyaku::delivery {
namespace {

metrics::Counter& Signed(crypto::KeyType type) {
  const auto declare = [](crypto::KeyType of) -> metrics::Counter& {
    return metrics::DeclareCounter("hikyaku_dkim_signed_total", "DKIM signatures made, by algorithm.",
                                   {{"algorithm", std::string(dkim::AlgorithmName(of))}});
  };
  static metrics::Counter& rsa = declare(crypto::KeyType::kRsa);
  static metrics::Counter& ed25519 = declare(crypto::KeyType::kEd25519);
  return type == crypto::KeyType::kRsa ? rsa : ed25519;
}

metrics::Counter& Failed(const char* reason) {
  return metrics::DeclareCounter(
      "hikyaku_dkim_failed_total",
      "Attempts that ended because the mail could not be signed: key (the configured key cannot "
      "be used), from (From cannot be read), sign (the key did not sign).",
      {{"reason", reason}});
}

struct FailureCounters {
  metrics::Counter& key = Failed("key");
  metrics::Counter& from = Failed("from");
  metrics::Counter& sign = Failed("sign");
};

FailureCounters& CountFailed() {
  static FailureCounters* const counters = new FailureCounters;
  return *counters;
}

// Of several authors, the first that has a row signs; else the domain that signs for all others.
const DkimKeyList* KeysFor(const DkimKeys& keys, const std::vector<address::Mailbox>& authors) {
  const DkimKeyList* for_others = keys.Find("");
  for (const address::Mailbox& author : authors) {
    if (author.address.literal) continue;
    const DkimKeyList* list = keys.Find(author.address.domain);
    if (list != for_others) return list;
  }
  return for_others;
}

absl::Status KeyUnusable(const DkimKey& key) {
  return absl::FailedPreconditionError(absl::StrCat("the mail waits for a DKIM key: selector ", key.selector,
                                                    " of domain ", key.domain, ": ", key.path, " ",
                                                    key.signatory.status().message()));
}

}  // namespace

Signing::Signing(const DkimKeyring* keyring, absl::string_view message) : message_(message) {
  if (keyring != nullptr) keys_ = keyring->Get();
}

absl::Status Signing::Ready() {
  if (keys_ == nullptr || keys_->all().empty()) return absl::OkStatus();
  if (!ready_) ready_ = ChooseKeys();
  return *ready_;
}

absl::Status Signing::ChooseKeys() {
  const auto header = mime::HeaderFields::Parse(message_);
  const mime::HeaderField* from = header.ok() ? header->Find("From") : nullptr;
  const auto authors = from != nullptr ? address::ParseMailboxList(from->value)
                                       : absl::StatusOr<std::vector<address::Mailbox>>(absl::NotFoundError("no From"));
  if (!authors.ok()) {
    CountFailed().from.Increment();
    return absl::FailedPreconditionError(
        absl::StrCat("whose DKIM key should sign cannot be told: From: ", authors.status().message()));
  }
  chosen_ = KeysFor(*keys_, *authors);
  if (chosen_ == nullptr) return absl::OkStatus();
  for (const auto& key : *chosen_) {
    if (key->signatory.ok()) continue;
    CountFailed().key.Increment();
    return KeyUnusable(*key);
  }
  return absl::OkStatus();
}

awaitable<absl::Status> Signing::Sign(absl::string_view message, absl::Time now) {
  CO_RETURN_IF_ERROR(Ready());
  if (chosen_ == nullptr || heads_.count(message.data()) > 0) co_return absl::OkStatus();
  const auto header = mime::HeaderFields::Parse(message);
  if (!header.ok()) {
    CountFailed().from.Increment();
    co_return absl::InternalError(absl::StrCat("cannot be signed: ", header.status().message()));
  }
  CO_ASSIGN_OR_RETURN(const std::string digest, co_await DigestBody(header->body()));
  std::string head;
  for (const auto& key : *chosen_) {
    dkim::SigningOptions options;
    options.time = absl::ToUnixSeconds(now);
    const auto field = dkim::Sign(*header, digest, *key->signatory, options);
    if (!field.ok()) {
      CountFailed().sign.Increment();
      co_return absl::InternalError(absl::StrCat("selector ", key->selector, " of domain ", key->domain,
                                                 " could not sign: ", field.status().message()));
    }
    Signed(key->signatory->key.type()).Increment();
    absl::StrAppend(&head, *field);
  }
  heads_.emplace(message.data(), std::move(head));
  co_return absl::OkStatus();
}

absl::string_view Signing::HeadOf(absl::string_view message) const {
  const auto head = heads_.find(message.data());
  return head == heads_.end() ? absl::string_view() : absl::string_view(head->second);
}

awaitable<absl::StatusOr<std::string>> Signing::DigestBody(absl::string_view body) const {
  dkim::BodyHasher hasher(dkim::SigningOptions().body_form);
  for (std::size_t at = 0; at < body.size(); at += kSlice) {
    if (at > 0) CO_RETURN_IF_ERROR(co_await net::Sleep(absl::ZeroDuration()));
    hasher.Update(body.substr(at, kSlice));
  }
  co_return hasher.Finish();
}

}  // namespace hikyaku::delivery
