#include "lib/queue/reports.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/message_id.h"
#include "lib/base/random.h"
#include "lib/crypto/digest.h"
#include "lib/dsn/options.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr std::size_t kBoundaryBytes = 16;
constexpr std::size_t kTimeBytes = 6;  // Of a message id.

// The id of a report follows from what it tells of: the same verdict makes the same report. Its time is that of the
// message.
std::string DerivedId(absl::string_view message_id, absl::string_view domain, ReportKind kind, int moment) {
  const std::string digest =
      crypto::Sha256(absl::StrCat("report ", static_cast<int>(kind), " ", moment, " ", message_id, " ", domain));
  return absl::StrCat(message_id.substr(0, kTimeBytes), digest.substr(0, MessageId::kBytes - kTimeBytes));
}

absl::Time TimeOf(const v1::Outcome& outcome) {
  return absl::FromUnixSeconds(outcome.time().seconds()) + absl::Nanoseconds(outcome.time().nanos());
}

// A host that took the mail and reports no success was handed it (RFC 3461 §5.2.3), unless mail ends there.
dsn::Action ActionOf(ReportKind kind, bool relayed) {
  switch (kind) {
    case ReportKind::kFailed: return dsn::Action::kFailed;
    case ReportKind::kDelayed: return dsn::Action::kDelayed;
    case ReportKind::kDelivered: return relayed ? dsn::Action::kRelayed : dsn::Action::kDelivered;
  }
  return dsn::Action::kFailed;
}

}  // namespace

ReportMail MailOf(const storage::v1::Delivery& delivery) {
  const storage::v1::Envelope& envelope = delivery.envelope();
  ReportMail mail;
  mail.key = keys::Delivery(envelope.message_id(), delivery.domain());
  mail.domain = delivery.domain();
  mail.due = delivery.due_micros();
  mail.record = delivery.SerializeAsString();
  storage::v1::DueEntry entry;
  entry.set_priority(envelope.priority());
  entry.set_tenant(envelope.tenant());
  entry.set_accept_micros(envelope.accept_micros());
  entry.set_expire_micros(envelope.expire_micros());
  entry.set_size(envelope.size());
  mail.entry = entry.SerializeAsString();
  v1::Event event = MakeEvent(v1::Event::TYPE_ACCEPTED, envelope, delivery.domain(), envelope.accept_micros());
  for (const storage::v1::Recipient& recipient : delivery.recipients()) event.add_recipients(recipient.address());
  mail.recipients = delivery.recipients_size();
  mail.event = event.SerializeAsString();
  mail.body_key = keys::Body(envelope.message_id(), delivery.body_part());
  return mail;
}

void PutMails(Group& group, const std::vector<ReportMail>& mails) {
  for (const ReportMail& mail : mails) {
    group.batch.Put(Family::kDelivery, mail.key, mail.record);
    group.batch.Put(Family::kDue, keys::Due(mail.due, mail.key), mail.entry);
    if (!mail.body.empty()) group.batch.Put(Family::kBody, mail.body_key, mail.body);
    PutEvent(group, keys::DeliveryId(mail.key), mail.event);
    group.counters.set_accepted(group.counters.accepted() + mail.recipients);
  }
}

void MailsCommitted(Engine& engine, const std::vector<ReportMail>& mails) {
  if (mails.empty()) return;
  {
    absl::MutexLock lock(&engine.mu);
    for (const ReportMail& mail : mails) {
      ++engine.open;
      engine.schedule.Opened(mail.domain);
    }
  }
  for (const ReportMail& mail : mails) {
    engine.metrics.accepted.Increment(mail.recipients);
    engine.LowerNextDue(mail.due);  // The poll takes it from there.
  }
}

Reporter::Reporter(Engine& engine, const storage::v1::Envelope& envelope, const std::string& domain, int moment,
                   std::int64_t now_micros)
    : engine_(&engine), envelope_(&envelope), domain_(domain), moment_(moment), now_(now_micros) {}

bool Reporter::MayTell(std::uint32_t notify, std::uint32_t what) const {
  return envelope_->sender_reports() == storage::v1::SENDER_REPORTS_WANTED && !envelope_->sender().empty() &&
         dsn::Wants(notify, what);
}

std::string Reporter::NoteFailed(const storage::v1::Recipient& recipient, const v1::Outcome& outcome,
                                 absl::Time last_attempt) {
  if (!envelope_->report_of().empty()) {
    ++dropped_[static_cast<int>(ReportDrop::kUndeliverable)];
    undeliverable_ = absl::StrCat(outcome.enhanced_code(), " ", outcome.text());
  } else if (envelope_->sender().empty()) {
    ++dropped_[static_cast<int>(ReportDrop::kNullSender)];
  } else if (envelope_->sender_reports() == storage::v1::SENDER_REPORTS_DENIED) {
    ++dropped_[static_cast<int>(ReportDrop::kUntrusted)];
  }
  if (!MayTell(recipient.notify(), dsn::kFailure)) return "";
  return Note(ReportKind::kFailed, recipient, outcome, last_attempt);
}

std::string Reporter::NoteDelayed(const storage::v1::Recipient& recipient, const v1::Outcome& outcome) {
  const std::int64_t after = engine_->report_delay_micros;
  if (after <= 0 || now_ - envelope_->accept_micros() < after || recipient.delay_reported()) return "";
  if (!MayTell(recipient.notify(), dsn::kDelay)) return "";
  return Note(ReportKind::kDelayed, recipient, outcome, TimeOf(outcome));
}

std::string Reporter::NoteDelivered(const storage::v1::Recipient& recipient, const v1::Outcome& outcome) {
  if (outcome.reports_passed_on() || !MayTell(recipient.notify(), dsn::kSuccess)) return "";
  relayed_ |= !outcome.final_delivery();
  return Note(ReportKind::kDelivered, recipient, outcome, TimeOf(outcome));
}

std::string Reporter::Note(ReportKind kind, const storage::v1::Recipient& recipient, const v1::Outcome& outcome,
                           absl::Time last_attempt) {
  dsn::ReportedRecipient told;
  told.address = recipient.address();
  told.original_recipient = recipient.original_recipient();
  told.status = outcome.enhanced_code();
  told.smtp_code = outcome.smtp_code();
  told.text = outcome.text();
  told.remote_host = outcome.remote_host();
  told.last_attempt = last_attempt;
  told_[static_cast<int>(kind)].push_back(std::move(told));
  const auto id = MessageId::FromBytes(IdFor(kind));
  return id->text();
}

std::string Reporter::IdFor(ReportKind kind) const {
  return DerivedId(envelope_->message_id(), domain_, kind, moment_);
}

bool Reporter::wanted() const {
  for (const auto& told : told_) {
    if (!told.empty()) return true;
  }
  return false;
}

void Reporter::Make(const std::string* body) {
  for (int kind = 0; kind < kReportKinds; ++kind) {
    if (!told_[kind].empty()) mails_.push_back(Build(static_cast<ReportKind>(kind), body));
  }
}

// What the report says, with the recipients that it tells of.
dsn::BuiltReport Reporter::Compose(ReportKind kind, const std::string& message_id, const ReportPolicy& policy,
                                   const std::string* body) {
  dsn::Report report;
  report.action = ActionOf(kind, relayed_);
  report.hostname = policy.hostname;
  report.from = policy.from;
  report.to = envelope_->sender();
  report.message_id = message_id;
  report.date = absl::FromUnixMicros(now_);
  report.envelope_id = envelope_->envelope_id();
  report.original_message_id = envelope_->message_id_header();
  report.arrival = absl::FromUnixMicros(envelope_->accept_micros());
  report.retry_until = absl::FromUnixMicros(envelope_->expire_micros());
  report.recipients = std::move(told_[static_cast<int>(kind)]);
  if (body != nullptr) report.original = *body;
  // A delay returns no more than the header: the sender has the mail (RFC 3461 §4.3 leaves it open). Nor does the
  // report of a mail that requires TLS, which may have to go back without it (RFC 8689 §5).
  report.headers_only = kind != ReportKind::kFailed || envelope_->require_tls() ||
                        envelope_->returned_content() == storage::v1::RETURNED_CONTENT_HEADERS;
  report.full_up_to = policy.headers_only_over;
  report.smtputf8 = envelope_->smtputf8();
  report.boundary_token = RandomHex(kBoundaryBytes);
  return dsn::BuildReport(report);
}

ReportMail Reporter::Build(ReportKind kind, const std::string* body) {
  const ReportPolicy policy = engine_->reports();
  const auto id = MessageId::FromBytes(IdFor(kind));
  const std::string message_id = absl::StrCat(id->text(), "@", policy.hostname);
  dsn::BuiltReport built = Compose(kind, message_id, policy, body);

  storage::v1::Delivery delivery;
  storage::v1::Envelope& envelope = *delivery.mutable_envelope();
  envelope.set_message_id(std::string(id->bytes()));
  envelope.set_tenant(envelope_->tenant());
  envelope.set_message_id_header(message_id);
  envelope.set_size(built.bytes.size());
  envelope.set_accept_micros(now_);
  envelope.set_expire_micros(now_ + engine_->lifetime_micros);
  envelope.set_priority(v1::PRIORITY_NORMAL);
  envelope.set_eight_bit(built.eight_bit);
  envelope.set_smtputf8(built.smtputf8);
  envelope.set_report_of(envelope_->message_id());
  envelope.set_require_tls(envelope_->require_tls());
  // The sender was parsed when the mail was accepted: behind its last "@" stands a domain in A-labels, or a literal.
  delivery.set_domain(envelope_->sender().substr(envelope_->sender().rfind('@') + 1));
  delivery.add_recipients()->set_address(envelope_->sender());
  delivery.mutable_recipients(0)->set_state(v1::RECIPIENT_STATE_QUEUED);
  delivery.set_due_micros(now_);
  delivery.set_body_part(engine_->body_parts.fetch_add(1));
  delivery.set_destinations(1);

  ReportMail mail = MailOf(delivery);
  mail.kind = kind;
  mail.body = std::move(built.bytes);
  return mail;
}

void Reporter::Put(Group& group) const { PutMails(group, mails_); }

void Reporter::Committed() {
  Metrics& metrics = engine_->metrics;
  for (int i = 0; i < kReportDrops; ++i) {
    if (dropped_[i] > 0) metrics.reports_dropped[i]->Increment(dropped_[i]);
  }
  if (!undeliverable_.empty()) {
    const auto id = MessageId::FromBytes(envelope_->message_id());
    const auto of = MessageId::FromBytes(envelope_->report_of());
    log::Warn("report_undeliverable", {{"message", id ? id->text() : std::string()},
                                       {"report_of", of ? of->text() : std::string()},
                                       {"domain", domain_},
                                       {"why", undeliverable_}});
  }
  MailsCommitted(*engine_, mails_);
  for (const ReportMail& mail : mails_) metrics.reports[static_cast<int>(mail.kind)]->Increment();
}

std::size_t Reporter::bytes() const {
  std::size_t bytes = 0;
  for (const ReportMail& mail : mails_) bytes += mail.bytes();
  return bytes;
}

}  // namespace hikyaku::queue
