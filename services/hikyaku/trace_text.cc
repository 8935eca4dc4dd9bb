#include "services/hikyaku/trace_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "lib/base/units.h"
#include "services/hikyaku/text.h"

namespace hikyaku::cli {
namespace {

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string When(const google::protobuf::Timestamp& time, absl::Time now) {
  return absl::StrCat(TimeText(FromProto(time)), " (", FormatRelative(FromProto(time), now), ")");
}

// "TYPE_DEFERRED" → "deferred"; a value of a newer server → its number.
std::string Word(const std::string& name, absl::string_view prefix, int number) {
  if (name.empty()) return absl::StrCat("#", number);
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

std::string Size(std::uint64_t bytes) {
  if (bytes < 10 << 10) return absl::StrCat(bytes, " bytes");
  if (bytes < 10 << 20) return absl::StrFormat("%.0f KiB", bytes / 1024.0);
  return absl::StrFormat("%.1f MiB", bytes / 1048576.0);
}

// What the delivery does now, and when it goes on.
std::string StandsAt(const v1::DeliveryStatus& delivery, absl::Time now) {
  std::string text;
  switch (delivery.state()) {
    case v1::DeliveryStatus::STATE_SCHEDULED:
      text = absl::StrCat("waits for attempt ", delivery.attempts() + 1);
      if (delivery.has_next_attempt_time()) absl::StrAppend(&text, " at ", When(delivery.next_attempt_time(), now));
      break;
    case v1::DeliveryStatus::STATE_READY:
      text = absl::StrCat("due now, waits for: ", delivery.waits_for().empty() ? "a worker" : delivery.waits_for());
      break;
    case v1::DeliveryStatus::STATE_LEASED:
      text = absl::StrCat("attempt ", delivery.attempts() + 1, " is under way");
      break;
    case v1::DeliveryStatus::STATE_FINISHED:
      return absl::StrCat("finished after ", delivery.attempts(), delivery.attempts() == 1 ? " attempt" : " attempts");
    default: text = absl::StrCat("state #", static_cast<int>(delivery.state()));
  }
  if (delivery.has_expire_time()) absl::StrAppend(&text, "; gives up ", When(delivery.expire_time(), now));
  return text;
}

std::string DeliveryText(const v1::DeliveryStatus& delivery, absl::Time now) {
  std::string text = absl::StrCat("\nTo ", Printable(delivery.domain(), 260), " (shard ", Printable(delivery.shard()),
                                  "): ", Printable(StandsAt(delivery, now)), "\n");
  for (const v1::RecipientStatus& recipient : delivery.recipients()) {
    absl::StrAppend(&text, "  ", Printable(recipient.address(), 300), "  ", StateWord(recipient.state()), "\n");
    if (recipient.has_last_outcome()) absl::StrAppend(&text, "      ", OutcomeText(recipient.last_outcome()), "\n");
  }
  return text;
}

// "TLSv1.3, verified", "TLSv1.3, not verified: the certificate is not for mx.example.net".
std::string TlsText(const v1::Tls& tls) {
  const std::string text = Printable(tls.version());
  if (tls.verified()) return absl::StrCat(text, ", verified");
  return absl::StrCat(text, ", not verified: ", Printable(tls.unverified_reason()));
}

}  // namespace

std::string StateWord(v1::RecipientState state) {
  return Word(v1::RecipientState_Name(state), "RECIPIENT_STATE_", state);
}

std::string OutcomeText(const v1::Outcome& outcome) {
  std::vector<std::string> said;
  if (outcome.smtp_code() != 0) said.push_back(absl::StrCat(outcome.smtp_code()));
  if (!outcome.enhanced_code().empty()) said.push_back(Printable(outcome.enhanced_code()));
  said.push_back(Printable(outcome.text()));
  std::vector<std::string> about;
  if (!outcome.remote_host().empty()) about.push_back(Printable(outcome.remote_host()));
  if (outcome.kind() != v1::Outcome::KIND_DELIVERED) {
    about.push_back(absl::StrCat("scope ", Word(v1::Outcome::Scope_Name(outcome.scope()), "SCOPE_", outcome.scope())));
    if (!outcome.bounce_class().empty()) about.push_back(Printable(outcome.bounce_class()));
  }
  if (outcome.has_tls()) about.push_back(TlsText(outcome.tls()));
  if (outcome.ambiguous()) about.push_back("the peer may have taken it");
  std::string text = absl::StrJoin(said, " ");
  if (!about.empty()) absl::StrAppend(&text, "  (", absl::StrJoin(about, "; "), ")");
  return text;
}

std::string EventText(const v1::Event& event) {
  std::vector<std::string> recipients;
  for (const std::string& recipient : event.recipients()) recipients.push_back(Printable(recipient, 300));
  std::string text = absl::StrFormat(
      "%s  %-10s %s", absl::FormatTime("%Y-%m-%d %H:%M:%E3SZ", FromProto(event.time()), absl::UTCTimeZone()),
      Word(v1::Event::Type_Name(event.type()), "TYPE_", event.type()), absl::StrJoin(recipients, ", "));
  if (event.attempts() > 0) absl::StrAppend(&text, "  attempt ", event.attempts());
  if (event.has_next_attempt_time()) {
    absl::StrAppend(&text, ", next in ", FormatSpan(FromProto(event.next_attempt_time()) - FromProto(event.time())));
  }
  absl::StrAppend(&text, "\n");
  if (event.has_outcome()) absl::StrAppend(&text, "      ", OutcomeText(event.outcome()), "\n");
  if (!event.report_id().empty()) {
    absl::StrAppend(&text, "      reported to ", Printable(event.sender(), 300), " by message ",
                    Printable(event.report_id()), "\n");
  }
  if (event.type() == v1::Event::TYPE_ACCEPTED && !event.report_of().empty()) {
    absl::StrAppend(&text, "      a report about message ", Printable(event.report_of()), "\n");
  }
  return text;
}

std::string TraceText(const v1::GetMessageResponse& message, absl::Time now) {
  std::string text = absl::StrCat("Message ", Printable(message.message_id()));
  if (!message.message_id_header().empty()) {
    absl::StrAppend(&text, "  Message-ID <", Printable(message.message_id_header()), ">");
  }
  absl::StrAppend(&text, "\nFrom <", Printable(message.sender(), 300), ">, ", Size(message.size_bytes()), ", tenant ",
                  Printable(message.tenant()), ", accepted ", When(message.accept_time(), now), "\n");
  for (const v1::DeliveryStatus& delivery : message.deliveries()) absl::StrAppend(&text, DeliveryText(delivery, now));
  if (!message.events().empty()) absl::StrAppend(&text, "\nEvents\n");
  for (const v1::Event& event : message.events()) absl::StrAppend(&text, "  ", EventText(event));
  if (!message.missing_shards().empty()) {
    absl::StrAppend(&text, "\nDid not answer, so their part is missing: ",
                    Printable(absl::StrJoin(message.missing_shards(), ", ")), "\n");
  }
  return text;
}

bool IsFinished(const v1::GetMessageResponse& message) {
  return message.missing_shards().empty() && !message.deliveries().empty() &&
         std::all_of(message.deliveries().begin(), message.deliveries().end(), [](const v1::DeliveryStatus& delivery) {
           return delivery.state() == v1::DeliveryStatus::STATE_FINISHED;
         });
}

bool IsAllDelivered(const v1::GetMessageResponse& message) {
  if (!IsFinished(message)) return false;
  for (const v1::DeliveryStatus& delivery : message.deliveries()) {
    for (const v1::RecipientStatus& recipient : delivery.recipients()) {
      if (recipient.state() != v1::RECIPIENT_STATE_DELIVERED) return false;
    }
  }
  return true;
}

}  // namespace hikyaku::cli
