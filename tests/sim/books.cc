#include "tests/sim/books.h"

#include <algorithm>
#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/message_id.h"
#include "lib/queue/checker.h"
#include "lib/queue/events.h"

namespace hikyaku::sim {
namespace {

using queue::Family;

// How long after a host took a mail its verdict may still be on its way: the longest wait for a reply, and some.
constexpr absl::Duration kVerdictTime = absl::Seconds(45);
// A fault may have been over for so long before the mail was taken, and be the cause all the same: it takes a moment
// until all sides know of it.
constexpr absl::Duration kNewsTime = absl::Seconds(4);  // More than a slow network takes for a word.

constexpr std::size_t kMaxProblems = 20;

std::string IdText(absl::string_view bytes) {
  const auto id = MessageId::FromBytes(bytes);
  return id.has_value() ? id->text() : "?";
}

}  // namespace

std::string TokenOf(absl::string_view message) {
  const std::size_t end = message.find("\r\n\r\n");
  const std::size_t at = message.substr(0, end).find("\r\nSubject: ");
  if (at == absl::string_view::npos) return "";
  const absl::string_view rest = message.substr(at + 11);
  return std::string(rest.substr(0, rest.find("\r\n")));
}

std::string DomainOf(const std::string& recipient) { return recipient.substr(recipient.find('@') + 1); }

std::uint64_t HashOf(absl::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Books::Books(World& world)
    : world_(world),
      promises_(world, [this](std::string what) { Problem(std::move(what)); }),
      reports_([this](std::string what) { Problem(std::move(what)); }),
      tls_reports_(world, [this](std::string what) { Problem(std::move(what)); }) {}

void Books::Problem(std::string what) {
  world_.Trace("PROBLEM ", what);
  if (problems_.size() < kMaxProblems) problems_.push_back(std::move(what));
}

// ---- Notes. ----

void Books::NoteMail(const std::string& token, Written written) {
  promises_.NoteAsked(token, written.tls);
  static_cast<Written&>(mails_[token]) = std::move(written);
}

void Books::NoteAnswer(const std::string& token, Answer answer) {
  Answer& known = mails_[token].answer;
  // Of several tries under one key, a yes is a yes, and a doubt stays one.
  if (known == Answer::kAccepted || (known == Answer::kUnknown && answer == Answer::kRefused)) return;
  known = answer;
}

void Books::NoteEnqueue(int shard, const internal::v1::EnqueueRequest& request) {
  const std::string id = IdText(request.envelope().message_id());
  if (request.destinations().empty()) return;
  const std::string token = TokenOf(request.body());
  const auto mail = mails_.find(token);
  if (mail == mails_.end()) return Problem(absl::StrCat("a shard was given a mail that nobody sent: ", token));
  mail->second.ids.insert(id);
  reports_.NoteEnqueue(id, request.envelope().accept_micros());
  tokens_[id] = token;
  if (!absl::EndsWith(absl::string_view(request.body()), absl::string_view(mail->second.payload))) {
    Problem(absl::StrCat("corrupt: what was queued of ", token, " is not what was sent"));
  }
  bodies_[id].insert(HashOf(request.body()));
  if (bodies_[id].size() > 1 && !mail->second.keyed) Problem(absl::StrCat("two bodies of ", id));
  for (const auto& destination : request.destinations()) ++asked_[{id, destination.domain()}][shard].calls;
}

void Books::NoteEnqueued(int shard, const internal::v1::EnqueueRequest& request, const absl::Status& status) {
  if (status.ok() || absl::IsDeadlineExceeded(status)) return;
  const std::string id = IdText(request.envelope().message_id());
  for (const auto& destination : request.destinations()) ++asked_[{id, destination.domain()}][shard].refusals;
}

void Books::NoteLease(int worker, int shard, const storage::v1::Envelope& envelope, const std::string& domain) {
  const std::string id = IdText(envelope.message_id());
  if (!envelope.report_of().empty()) {
    const auto of = tokens_.find(IdText(envelope.report_of()));
    const bool required = of != tokens_.end() && mails_[of->second].tls == SenderTls::kRequired;
    if (required) promises_.NoteReportOnRequired(id);
    promises_.NoteLease(worker, shard, id, domain);
    return reports_.NoteLease(worker, shard, id, envelope);
  }
  if (tls_reports_.Knows(id)) {
    if (!envelope.tls_optional()) Problem(absl::StrCat("a report on TLS that broken TLS can hold up: ", id));
    promises_.NoteAsked(id, SenderTls::kWaived);
    promises_.NoteLease(worker, shard, id, domain);
    return tls_reports_.NoteLease(worker, shard, id, domain);
  }
  const auto token = tokens_.find(id);
  if (token == tokens_.end()) return Problem(absl::StrCat("a lease of an unknown mail: ", id));
  const SenderTls asked = mails_[token->second].tls;
  if (envelope.require_tls() != (asked == SenderTls::kRequired) ||
      envelope.tls_optional() != (asked == SenderTls::kWaived)) {
    Problem(absl::StrCat("another wish for TLS than was asked for: ", token->second));
  }
  promises_.NoteLease(worker, shard, token->second, domain);
  leases_[{token->second, domain}][worker] = shard;
}

void Books::NoteTaken(const Channel& channel, const std::string& data, const std::vector<std::string>& recipients,
                      bool reply_lost) {
  const absl::string_view message = WithoutSignatures(data);
  const std::string report = ReportIdOf(message);
  const std::string token = TokenOf(message);
  const std::string tls_report = TlsReportIdOf(message);
  promises_.JudgeTaken(channel, !report.empty() ? report : !tls_report.empty() ? tls_report : token, data, recipients);
  if (!tls_report.empty()) {
    return tls_reports_.NoteTaken(tls_report, message, recipients, {world_.now(), channel.worker, -1, reply_lost});
  }
  if (!report.empty()) {
    return reports_.NoteTaken(report, message, recipients, {world_.now(), channel.worker, -1, reply_lost});
  }
  const auto mail = mails_.find(token);
  if (mail == mails_.end()) return Problem(absl::StrCat("a host got a mail that nobody sent: ", token));
  const bool whole = std::any_of(mail->second.ids.begin(), mail->second.ids.end(),
                                 [&](const std::string& id) { return bodies_[id].count(HashOf(message)) > 0; });
  if (!whole) Problem(absl::StrCat("corrupt: what a host got of ", token, " is not what was queued"));
  for (const std::string& recipient : recipients) {
    const auto& to = mail->second.recipients;
    if (std::find(to.begin(), to.end(), recipient) == to.end()) {
      Problem(absl::StrCat("misdirected: ", token, " to ", recipient));
    }
    const auto& leased = leases_[{token, DomainOf(recipient)}];
    const auto shard = leased.find(channel.worker);
    if (shard == leased.end()) Problem(absl::StrCat("delivered without a lease: ", token));
    taken_[{token, recipient}].push_back(
        {world_.now(), channel.worker, shard == leased.end() ? -1 : shard->second, reply_lost});
  }
}

std::size_t Books::NotePurge(int shard, const std::string& domain) {
  purges_.push_back({shard, domain, world_.now(), absl::InfiniteDuration()});
  return purges_.size() - 1;
}

void Books::NotePurgeEnd(std::size_t purge) { purges_[purge].to = std::min(purges_[purge].to, world_.now()); }

// ---- The end. ----

void Books::Check(const std::vector<SimDisk*>& disks, const Terms& terms) {
  shards_ = static_cast<int>(disks.size());
  for (std::size_t i = 0; i < disks.size(); ++i) {
    CheckDisk(static_cast<int>(i), *disks[i]);
    ReadEvents(static_cast<int>(i), *disks[i], terms);
  }
  for (const auto& [token, mail] : mails_) CheckMail(token, mail);
  promises_.Check(terms.wrong_clocks);
  CheckReports();
  CheckTlsReports(disks, terms);
}

void Books::CheckDisk(int shard, const SimDisk& disk) {
  const std::string name = absl::StrCat("q", shard);
  SimDisk copy = disk;
  copy.mutant = Mutant::kNone;
  copy.undo = nullptr;
  copy.witness = nullptr;
  const auto store = OpenSimStore(world_, copy, name, [] {});
  const std::atomic<bool> cancel = false;
  const auto checked = queue::CheckView(*store->Snapshot(), name, cancel);
  if (!checked.ok()) return Problem(absl::StrCat(name, " cannot be checked: ", checked.status().ToString()));
  const v1::ShardCheck& check = *checked;
  for (const std::string& problem : check.problems()) {
    Problem(absl::StrCat(name, ": ", problem));
  }
  if (check.deliveries() > 0) Problem(absl::StrCat("stuck: ", check.deliveries(), " deliveries are left at ", name));
  const std::uint64_t ended = check.delivered_total() + check.bounced_total() + check.expired_total() +
                              check.cancelled_total() + check.suppressed_total();
  if (check.accepted_total() != ended + check.recipients()) Problem(absl::StrCat(name, ": the account is off"));
}

void Books::ReadEvents(int shard, const SimDisk& disk, const Terms& terms) {
  for (const auto& [key, value] : *disk.families[static_cast<int>(Family::kEvent)]) {
    v1::Event event;
    if (queue::ParseEvent(key, value, absl::StrCat("q", shard), event)) {
      ReadEvent(shard, event, terms);
    } else {
      Problem(absl::StrCat("q", shard, ": a damaged event"));
    }
  }
}

// What their way to the sender was: as for any other mail.
void Books::CheckReports() {
  reports_.Check();
  counts_.reports = reports_.all().size();
  for (const auto& [id, report] : reports_.all()) {
    const std::string what = absl::StrCat("the report ", id);
    CheckFate(what, absl::StrCat("s@", report.domain), report.bounced, report.cancelled);
    CheckCopies(what, report.domain, report.taken, report.delivered, report.cancelled, /*twin=*/false);
  }
}

void Books::CheckTlsReports(const std::vector<SimDisk*>& disks, const Terms& terms) {
  tls_reports_.Check(disks, terms.wrong_clocks);
  counts_.tls_reports = tls_reports_.all().size();
  counts_.tls_sessions = tls_reports_.sessions();
  for (const auto& [id, report] : tls_reports_.all()) {
    for (const auto& [domain, way] : report.ways) {
      const std::string what = absl::StrCat("the report on TLS ", id);
      CheckFate(what, absl::StrCat("tls@", domain), way.bounced, way.cancelled);
      CheckCopies(what, domain, way.taken, way.delivered, way.cancelled, /*twin=*/false);
    }
  }
}

void Books::ReadEvent(int shard, const v1::Event& event, const Terms& terms) {
  const auto token = tokens_.find(event.message_id());
  tls_reports_.ReadEvent(shard, event);
  if (tls_reports_.Knows(event.message_id())) return promises_.JudgeEvent(event, event.message_id());
  reports_.ReadEvent(shard, event, token == tokens_.end() ? Wish() : mails_[token->second].wish, terms.delay_after);
  const std::string& mail = token == tokens_.end() ? event.message_id() : token->second;
  promises_.JudgeEvent(event, mail);
  // Nobody refused it, and it was right to end.
  if (promises_.IsUnpromised(event, mail)) refused_.insert(event.recipients().begin(), event.recipients().end());
  if (!event.report_of().empty()) return;
  const std::int64_t micros = event.time().seconds() * 1'000'000 + event.time().nanos() / 1000;
  for (const std::string& recipient : event.recipients()) {
    Ends& ends = ends_[{shard, {event.message_id(), recipient}}];
    switch (event.type()) {
      case v1::Event::TYPE_ACCEPTED:
        ++ends.accepted;
        ends.accept_micros = micros;
        break;
      case v1::Event::TYPE_DELIVERED: ++ends.delivered; break;
      case v1::Event::TYPE_BOUNCED: ++ends.bounced; break;
      case v1::Event::TYPE_CANCELLED: ++ends.cancelled; break;
      case v1::Event::TYPE_EXPIRED:
        ++ends.expired;
        if (!terms.wrong_clocks && !mails_[tokens_[event.message_id()]].hurried &&
            absl::Microseconds(micros - ends.accept_micros) < terms.lifetime - absl::Seconds(30)) {
          Problem(absl::StrCat("expired too early: ", event.message_id(), " ", recipient));
        }
        break;
      default: break;
    }
  }
}

void Books::CheckEnds(const std::string& token, const std::string& id, const std::string& recipient, Ends& sum) {
  for (int shard = 0; shard < shards_; ++shard) {
    const auto it = ends_.find({shard, {id, recipient}});
    if (it == ends_.end()) continue;
    const Ends& ends = it->second;
    const std::string what = absl::StrCat(token, " ", id, " ", recipient, " at q", shard);
    if (ends.accepted != 1) Problem(absl::StrCat("accepted ", ends.accepted, " times: ", what));
    if (ends.terminal() == 0) Problem(absl::StrCat("no end: ", what));
    if (ends.terminal() > 1) Problem(absl::StrCat(ends.terminal(), " ends: ", what));
    const Asked& asked = asked_[{id, DomainOf(recipient)}][shard];
    if (asked.calls <= asked.refusals) Problem(absl::StrCat("ghost: the shard said that nothing was written: ", what));
    sum.accepted += ends.accepted;
    sum.delivered += ends.delivered;
    sum.bounced += ends.bounced;
    sum.expired += ends.expired;
    sum.cancelled += ends.cancelled;
  }
}

void Books::CheckMail(const std::string& token, const Mail& mail) {
  ++counts_.mails;
  counts_.accepted += mail.answer == Answer::kAccepted;
  counts_.refused += mail.answer == Answer::kRefused;
  counts_.unknown += mail.answer == Answer::kUnknown || mail.answer == Answer::kPending;
  const bool whole = std::all_of(mail.recipients.begin(), mail.recipients.end(), [&](const std::string& recipient) {
    return DomainOf(recipient) == DomainOf(mail.recipients[0]);
  });
  for (const std::string& recipient : mail.recipients) {
    Ends sum;
    for (const std::string& id : mail.ids) CheckEnds(token, id, recipient, sum);
    const std::string what = absl::StrCat(token, " ", recipient);
    if (mail.answer == Answer::kAccepted && sum.accepted == 0) Problem(absl::StrCat("lost: ", what));
    if (mail.answer == Answer::kRefused && whole && sum.accepted > 0) {
      Problem(absl::StrCat("ghost: refused, and queued: ", what));
    }
    if (sum.accepted > 1 && !IsTwin(mail, DomainOf(recipient))) Problem(absl::StrCat("queued twice: ", what));
    CheckTaken(token, mail, recipient, sum);
  }
}

void Books::CheckTaken(const std::string& token, const Mail& mail, const std::string& recipient, const Ends& ends) {
  const std::string what = absl::StrCat(token, " ", recipient);
  const auto found = taken_.find({token, recipient});
  const std::vector<Receipt> none;
  const std::vector<Receipt>& taken = found == taken_.end() ? none : found->second;
  counts_.taken += taken.size();
  counts_.bounced += ends.bounced;
  counts_.expired += ends.expired;
  if (ends.accepted == 0 && !taken.empty()) Problem(absl::StrCat("ghost: delivered, and never queued: ", what));
  if (static_cast<int>(taken.size()) < ends.delivered) Problem(absl::StrCat("lost: told as delivered: ", what));
  CheckFate(what, recipient, ends.bounced, ends.cancelled);
  const std::string domain = DomainOf(recipient);
  CheckCopies(what, domain, taken, ends.delivered, ends.cancelled, IsTwin(mail, domain));
}

// Somebody refused what bounced, and an operator purged what was cancelled.
void Books::CheckFate(const std::string& what, const std::string& recipient, int bounced, int cancelled) {
  const std::string domain = DomainOf(recipient);
  if (bounced > 0 && refused_.count(recipient) == 0 && dead_domains_.count(domain) == 0) {
    Problem(absl::StrCat("bounced, and nobody refused it: ", what));
  }
  const bool purged =
      std::any_of(purges_.begin(), purges_.end(), [&](const Purge& purge) { return purge.domain == domain; });
  if (cancelled > 0 && !purged) Problem(absl::StrCat("cancelled by nobody: ", what));
}

// Of what was taken, the last may be the one that was told; every other one needs an excuse.
void Books::CheckCopies(const std::string& what, const std::string& domain, const std::vector<Receipt>& taken,
                        int ended, int cancelled, bool twin) {
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const bool last = i + 1 == taken.size();
    if (last && ended > 0) break;
    if (last && cancelled > 0 && PurgedUnderWay(taken[i], domain)) break;
    if (!last) ++counts_.duplicates;
    if (Explained(taken[i], last ? nullptr : &taken[i + 1])) continue;
    if (twin && ended > 1) {
      ++counts_.twins;
      continue;
    }
    Problem(absl::StrCat(last ? "delivered, and told otherwise: " : "duplicate that no fault explains: ", what, " at ",
                         absl::FormatDuration(taken[i].time), " by worker ", taken[i].worker, " for q",
                         taken[i].shard));
  }
}

// Either the verdict of the first one did not arrive, or the second one was sent by a worker that had not heard yet
// that its lease was lost.
bool Books::Explained(const Receipt& first, const Receipt* second) const {
  if (first.reply_lost) return true;
  const absl::Duration next = second == nullptr ? absl::InfiniteDuration() : second->time;
  const auto broken = [this](const Receipt& taken, absl::Duration from, absl::Duration to) {
    return std::any_of(faults_.begin(), faults_.end(), [&](const Fault& fault) {
      return (fault.worker == -1 || fault.worker == taken.worker) &&
             (fault.shard == -1 || fault.shard == taken.shard) && fault.to >= from && fault.from <= to;
    });
  };
  if (broken(first, first.time - kNewsTime, std::min(next, first.time + kVerdictTime))) return true;
  return second != nullptr && second->worker != first.worker && broken(*second, first.time - kNewsTime, next);
}

// A purge ends even what a worker is sending: as cancelled, whatever the host says before the worker hears of it. So it
// took the mail while that purge ran, or its verdict, or the news of the purge, was on the way.
bool Books::PurgedUnderWay(const Receipt& taken, const std::string& domain) const {
  return std::any_of(purges_.begin(), purges_.end(), [&](const Purge& purge) {
    return purge.shard == taken.shard && purge.domain == domain && taken.time >= purge.from - kVerdictTime &&
           taken.time <= purge.to + kNewsTime;
  });
}

// Two tries of one key at the same time, of which one went to another shard because the right one was down: the one
// hole in the promise of keys that lib/submission/accept.h names.
bool Books::IsTwin(const Mail& mail, const std::string& domain) const {
  if (!mail.keyed) return false;
  std::set<int> shards;
  for (const std::string& id : mail.ids) {
    const auto asked = asked_.find({id, domain});
    if (asked == asked_.end()) continue;
    for (const auto& [shard, calls] : asked->second) {
      if (calls.calls > calls.refusals) shards.insert(shard);
    }
  }
  return shards.size() > 1;
}

Books::Counts Books::counts() const {
  Counts counts = counts_;
  counts.faults = faults_.size();
  counts.promises = promises_.counts();
  return counts;
}

}  // namespace hikyaku::sim
