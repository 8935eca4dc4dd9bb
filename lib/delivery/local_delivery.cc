#include "lib/delivery/local_delivery.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/message_id.h"
#include "lib/delivery/verdict.h"

namespace hikyaku::delivery {
namespace {

using Kind = NextHop::Kind;

std::string IdOf(const storage::v1::Envelope& envelope) {
  const auto id = MessageId::FromBytes(envelope.message_id());
  return id ? id->text() : "unknown";
}

// Addresses have been parsed long ago; this is the last gate before a file whose lines mean something.
void AppendField(absl::string_view name, absl::string_view value, std::string* head) {
  absl::StrAppend(head, name, ": ");
  for (const char c : value) head->push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  absl::StrAppend(head, "\r\n");
}

std::string Head(const storage::v1::Delivery& delivery) {
  const storage::v1::Envelope& envelope = delivery.envelope();
  std::string head;
  const std::string sender = absl::StrCat("<", envelope.sender(), ">");
  AppendField("Return-Path", sender, &head);
  AppendField("X-Envelope-From", sender, &head);
  for (const storage::v1::Recipient& recipient : delivery.recipients()) {
    AppendField("X-Envelope-To", absl::StrCat("<", recipient.address(), ">"), &head);
  }
  AppendField("X-Hikyaku-Id", IdOf(envelope), &head);
  if (!envelope.tenant().empty()) AppendField("X-Hikyaku-Tenant", envelope.tenant(), &head);
  return head;
}

// One file a delivery: the message, and the domain that it goes to. ":" and "/" have a meaning in names of a Maildir.
std::string FileName(const storage::v1::Delivery& delivery) {
  std::string name = absl::StrCat(delivery.envelope().accept_micros() / 1'000'000, ".", IdOf(delivery.envelope()), ".");
  for (const char c : delivery.domain()) name.push_back(c == '/' || c == ':' ? '_' : c);
  return name;
}

}  // namespace

awaitable<outcome::Outcome> DeliverLocally(const NextHop& hop, const queue::Lease& lease, Maildir* maildir) {
  const address::RouteTarget& target = hop.rule->target;
  if (hop.kind == Kind::kDiscard) co_return JudgeDiscarded(target.text);
  if (hop.kind == Kind::kReject) co_return JudgeRejected(target.enhanced, target.text);
  if (maildir == nullptr) {
    co_return JudgeNotCaptured(absl::FailedPreconditionError("delivery.maildir_root is not set"), target.path);
  }
  const std::string path = maildir->PathOf(target.path);
  std::string name = FileName(lease.delivery);
  std::string head = Head(lease.delivery);
  const absl::Status stored = co_await maildir->Store(target.path, std::move(name), std::move(head), lease.body);
  co_return stored.ok() ? JudgeCaptured(path) : JudgeNotCaptured(stored, path);
}

}  // namespace hikyaku::delivery
