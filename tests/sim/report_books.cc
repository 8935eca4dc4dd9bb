#include "tests/sim/report_books.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/message_id.h"
#include "tests/sim/books.h"

namespace hikyaku::sim {
namespace {

using v1::Event;

std::int64_t MicrosOf(const Event& event) { return event.time().seconds() * 1'000'000 + event.time().nanos() / 1000; }

// What a report calls the fate that `type` tells of (RFC 3464 §2.3.3); a host that reports no success is handed the
// mail, and that is all that is known.
const char* ActionOf(Event::Type type) {
  switch (type) {
    case Event::TYPE_DELIVERED: return "relayed";
    case Event::TYPE_DEFERRED: return "delayed";
    default: return "failed";
  }
}

// The groups of a delivery-status part, each with one recipient: they are separated by blank lines.
std::set<std::pair<std::string, std::string>> ReadStatus(absl::string_view message) {
  std::set<std::pair<std::string, std::string>> said;
  const std::size_t part = message.find("Content-Type: message/delivery-status");
  if (part == absl::string_view::npos) return said;
  std::string recipient, action;
  for (absl::string_view line : absl::StrSplit(message.substr(part), "\r\n")) {
    if (absl::ConsumePrefix(&line, "Final-Recipient: rfc822; ") ||
        absl::ConsumePrefix(&line, "Final-Recipient: rfc822;")) {
      recipient = std::string(line);
    } else if (absl::ConsumePrefix(&line, "Action: ")) {
      action = std::string(line);
    }
    if (recipient.empty() || action.empty()) continue;
    said.emplace(std::move(recipient), std::move(action));
    recipient.clear();
    action.clear();
  }
  return said;
}

bool IsFailure(Event::Type type) { return type == Event::TYPE_BOUNCED || type == Event::TYPE_EXPIRED; }

}  // namespace

std::string ReportIdOf(absl::string_view message) {
  const absl::string_view header = message.substr(0, message.find("\r\n\r\n"));
  if (!absl::StrContains(header, "\r\nAuto-Submitted: auto-replied\r\n")) return "";
  constexpr absl::string_view kField = "\r\nMessage-ID: <";
  const std::size_t at = header.find(kField);
  return at == absl::string_view::npos ? "?" : std::string(header.substr(at + kField.size(), MessageId::kTextLength));
}

void ReportBooks::NoteEnqueue(const std::string& id, std::int64_t accept_micros) {
  Accepted& accepted = accepted_.try_emplace(id, Accepted{accept_micros, accept_micros}).first->second;
  accepted.first = std::min(accepted.first, accept_micros);
  accepted.last = std::max(accepted.last, accept_micros);
}

void ReportBooks::NoteLease(int worker, int shard, const std::string& id, const storage::v1::Envelope& envelope) {
  reports_[id].leases[worker] = shard;
  if (!envelope.sender().empty()) problem_(absl::StrCat("a report that could be answered: ", id));
}

void ReportBooks::NoteTaken(const std::string& id, absl::string_view message,
                            const std::vector<std::string>& recipients, Receipt taken) {
  Report& report = reports_[id];
  if (recipients.size() != 1 || !absl::StartsWith(recipients[0], "s@")) {
    problem_(absl::StrCat("misdirected: the report ", id));
  }
  const auto lease = report.leases.find(taken.worker);
  if (lease == report.leases.end()) problem_(absl::StrCat("delivered without a lease: the report ", id));
  taken.shard = lease == report.leases.end() ? -1 : lease->second;
  report.taken.push_back(taken);
  report.bodies.insert(HashOf(message));
  report.said = ReadStatus(message);
}

void ReportBooks::ReadEvent(int shard, const Event& event, const Wish& wish, absl::Duration delay_after) {
  if (!event.report_of().empty()) return ReadOwn(event);
  const std::string& id = event.report_id();
  const bool wanted = IsFailure(event.type())                 ? wish.failure
                      : event.type() == Event::TYPE_DELIVERED ? wish.success
                      : event.type() == Event::TYPE_DEFERRED  ? wish.delay
                                                              : false;
  if (!wanted && !id.empty()) problem_(absl::StrCat("told to who did not ask: ", event.message_id()));
  if (wanted && id.empty() && event.type() != Event::TYPE_DEFERRED) {
    problem_(absl::StrCat("an end that is not told: ", event.message_id()));
  }
  ReadDelay(shard, event, wish, delay_after);
  if (id.empty()) return;
  Report& report = reports_[id];
  if (!report.teller.empty() && report.teller != event.message_id()) {
    problem_(absl::StrCat("a report of two mails: ", id));
  }
  report.teller = event.message_id();
  for (const std::string& recipient : event.recipients()) report.events.emplace(recipient, ActionOf(event.type()));
}

// A delay is told with the first attempt that fails after the mail has waited long enough, and once.
void ReportBooks::ReadDelay(int shard, const Event& event, const Wish& wish, absl::Duration delay_after) {
  if (event.type() != Event::TYPE_DEFERRED) return;
  const auto accepted = accepted_.find(event.message_id());
  if (accepted == accepted_.end()) return problem_(absl::StrCat("unknown, and deferred: ", event.message_id()));
  const std::int64_t asks = MicrosOf(event) - absl::ToInt64Microseconds(delay_after);
  const bool told = !event.report_id().empty();
  for (const std::string& recipient : event.recipients()) {
    const std::string what = absl::StrCat(event.message_id(), " ", recipient);
    const auto key = std::make_pair(shard, std::make_pair(event.message_id(), recipient));
    const bool known = delays_told_.count(key) > 0;
    if (told && known) problem_(absl::StrCat("a delay that is told again: ", what));
    if (told && asks < accepted->second.first) problem_(absl::StrCat("a delay that is told too early: ", what));
    if (!told && !known && wish.delay && asks >= accepted->second.last) {
      problem_(absl::StrCat("a delay that is not told: ", what));
    }
    if (told) delays_told_.insert(key);
  }
}

void ReportBooks::ReadOwn(const Event& event) {
  Report& report = reports_[event.message_id()];
  report.accepted += event.type() == Event::TYPE_ACCEPTED;
  report.delivered += event.type() == Event::TYPE_DELIVERED;
  report.bounced += event.type() == Event::TYPE_BOUNCED;
  report.cancelled += event.type() == Event::TYPE_CANCELLED;
  report.terminal += event.type() != Event::TYPE_ACCEPTED && event.type() != Event::TYPE_DEFERRED;
  report.of = event.report_of();
  report.domain = event.domain();
  if (!event.report_id().empty()) problem_(absl::StrCat("a report of a report: ", event.report_id()));
}

void ReportBooks::Check() {
  for (const auto& [id, report] : reports_) {
    if (report.teller.empty()) problem_(absl::StrCat("a report of nothing: ", id));
    if (report.of != report.teller) problem_(absl::StrCat("a report of another mail: ", id));
    if (report.accepted != 1) problem_(absl::StrCat("a report that was queued ", report.accepted, " times: ", id));
    if (report.terminal != 1) problem_(absl::StrCat("a report with ", report.terminal, " ends: ", id));
    if (static_cast<int>(report.taken.size()) < report.delivered) {
      problem_(absl::StrCat("a report is lost: told as delivered: ", id));
    }
    if (report.bodies.size() > 1) problem_(absl::StrCat("corrupt: two bodies of the report ", id));
    if (!report.taken.empty() && report.said != report.events) {
      problem_(absl::StrCat("a report that says something else than the events: ", id));
    }
  }
}

}  // namespace hikyaku::sim
