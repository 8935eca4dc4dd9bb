#include "lib/queue/tls_reporter.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/address.h"
#include "lib/base/log.h"
#include "lib/base/message_id.h"
#include "lib/base/random.h"
#include "lib/crypto/digest.h"
#include "lib/dsn/options.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"
#include "lib/tls_report/record.h"
#include "lib/tls_report/report.h"
#include "lib/tls_report/report_mail.h"

namespace hikyaku::queue {
namespace {

using storage::v1::TlsReportRow;

constexpr absl::Duration kFirst = absl::Minutes(5);
constexpr absl::Duration kLast = absl::Hours(4);

constexpr std::int64_t kLookPeriod = 60'000'000;
constexpr std::size_t kReportsStep = 20;        // In one commit.
constexpr std::size_t kMaxReportAddresses = 8;  // A record that changed within the day adds its new ones.
constexpr std::size_t kBoundaryBytes = 16;
constexpr std::size_t kUniqueBytes = 8;
constexpr char kTenant[] = "default";

absl::Time DayStart(std::uint32_t day) { return absl::FromUnixSeconds(std::int64_t{day} * 86'400); }

std::string Digest(std::uint32_t day, absl::string_view domain, absl::string_view shard) {
  return crypto::Sha256(absl::StrCat("tls report ", day, " ", domain, " ", shard));
}

// The rows of one domain and day, as they are at rest.
struct Found {
  std::uint32_t day = 0;
  std::string domain;
  std::vector<std::pair<std::string, std::string>> rows;  // Key and value.
};

struct Addresses {
  std::map<std::string, std::vector<std::string>> by_domain;
  std::vector<std::string> all;
  bool https = false;
};

Addresses AddressesOf(const std::vector<TlsReportRow>& rows) {
  Addresses addresses;
  std::set<std::string> seen;
  for (const TlsReportRow& row : rows) {
    for (const std::string& uri : row.session().report_to()) {
      const auto address = tls_report::MailtoAddress(uri);
      addresses.https |= absl::StartsWithIgnoreCase(uri, "https:");
      if (!address || seen.size() >= kMaxReportAddresses || !seen.insert(address->ToString()).second) continue;
      addresses.by_domain[address->domain].push_back(address->ToString());
      addresses.all.push_back(address->ToString());
    }
  }
  return addresses;
}

}  // namespace

// Sends what was found and forgets it, unless it has changed meanwhile: then it is found again.
class TlsReporter::SendOperation : public Operation {
 public:
  SendOperation(TlsReporter& reporter, std::vector<Found> found, bool more)
      : reporter_(reporter), engine_(reporter.engine_), more_(more) {
    for (Found& each : found) {
      Report& report = reports_.emplace_back();
      report.found = std::move(each);
      Make(report);
    }
  }

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    for (Report& report : reports_) {
      report.unchanged = Unchanged(group.store, report.found);
      if (!report.unchanged) continue;
      for (const auto& row : report.found.rows) group.batch.Delete(Family::kMeta, row.first);
      PutMails(group, report.mails);
    }
  }

  void Finish(const absl::Status& status) override {
    for (const Report& report : reports_) {
      if (status.ok() && report.unchanged) Committed(report);
    }
    reporter_.Settled(status.ok() && more_);
  }

 private:
  struct Report {
    Found found;
    std::vector<ReportMail> mails;  // One for each domain of its addresses.
    std::vector<TlsReportFate> fates;
    bool unchanged = false;
  };

  static bool Unchanged(Store& store, const Found& found) {
    const std::string prefix = keys::TlsReportPrefix(found.day, found.domain);
    const auto cursor = store.Scan(Family::kMeta, prefix, keys::PrefixEnd(prefix));
    if (cursor == nullptr) return false;
    for (const auto& [key, value] : found.rows) {
      if (!cursor->Valid() || cursor->key() != key || cursor->value() != value) return false;
      cursor->Next();
    }
    return !cursor->Valid() && cursor->status().ok();
  }

  // Rows that cannot be read go with the others.
  void Make(Report& report) {
    std::vector<TlsReportRow> rows;
    for (const auto& [key, value] : report.found.rows) {
      TlsReportRow row;
      if (row.ParseFromString(value)) rows.push_back(std::move(row));
    }
    const ReportPolicy policy = engine_.reports();
    if (rows.empty() || policy.tls.from.empty()) return report.fates.push_back(TlsReportFate::kNotMade);
    const Addresses addresses = AddressesOf(rows);
    if (addresses.https) report.fates.push_back(TlsReportFate::kHttps);
    if (addresses.all.empty()) return report.fates.push_back(TlsReportFate::kNoAddress);
    report.fates.push_back(TlsReportFate::kQueued);
    Queue(report, Compose(report.found, rows, addresses, policy), addresses, policy);
  }

  // The id of the mail is drawn once, however often the operation is applied.
  struct Composed {
    MessageId id;
    std::string message_id;
    std::string bytes;
  };

  Composed Compose(const Found& found, const std::vector<TlsReportRow>& rows, const Addresses& addresses,
                   const ReportPolicy& policy) const {
    Composed composed;
    composed.id = MessageId::Generate(engine_.clock.Now());
    composed.message_id = absl::StrCat(composed.id.text(), "@", policy.hostname);
    tls_report::ReportMail mail;
    const std::string unique = Digest(found.day, found.domain, engine_.options.name).substr(0, kUniqueBytes);
    mail.unique_id = absl::BytesToHexString(unique);
    mail.frame.organization = policy.tls.organization;
    mail.frame.contact = policy.tls.contact;
    mail.frame.domain = found.domain;
    mail.frame.day_start = DayStart(found.day);
    mail.frame.report_id = absl::StrCat(absl::FormatTime("%Y%m%d", mail.frame.day_start, absl::UTCTimeZone()), ".",
                                        found.domain, ".", mail.unique_id, "@", policy.hostname);
    mail.from = policy.tls.from;
    mail.to = addresses.all;
    mail.message_id = composed.message_id;
    mail.date = engine_.clock.Now();
    mail.boundary_token = RandomHex(kBoundaryBytes);
    composed.bytes = tls_report::BuildMail(mail, tls_report::BuildReport(mail.frame, rows));
    return composed;
  }

  void Queue(Report& report, Composed composed, const Addresses& addresses, const ReportPolicy& policy) {
    const std::int64_t now = engine_.NowMicros();
    storage::v1::Delivery delivery;
    storage::v1::Envelope& envelope = *delivery.mutable_envelope();
    envelope.set_message_id(std::string(composed.id.bytes()));
    envelope.set_tenant(kTenant);
    envelope.set_sender(policy.tls.from);
    envelope.set_message_id_header(composed.message_id);
    envelope.set_size(composed.bytes.size());
    envelope.set_accept_micros(now);
    envelope.set_expire_micros(now + engine_.lifetime_micros);
    envelope.set_priority(v1::PRIORITY_BULK);
    envelope.set_tls_optional(true);
    delivery.set_due_micros(now);
    delivery.set_body_part(engine_.body_parts.fetch_add(1));
    delivery.set_destinations(static_cast<std::uint32_t>(addresses.by_domain.size()));
    for (const auto& [domain, recipients] : addresses.by_domain) {
      delivery.set_domain(domain);
      delivery.clear_recipients();
      for (const std::string& recipient : recipients) {
        storage::v1::Recipient& added = *delivery.add_recipients();
        added.set_address(recipient);
        added.set_state(v1::RECIPIENT_STATE_QUEUED);
        added.set_notify(dsn::kNever);
      }
      report.mails.push_back(MailOf(delivery));
    }
    report.mails.front().body = std::move(composed.bytes);
  }

  void Committed(const Report& report) {
    MailsCommitted(engine_, report.mails);
    for (const TlsReportFate fate : report.fates) engine_.metrics.tls_reports[static_cast<int>(fate)]->Increment();
    log::Info("tls_report", {{"shard", engine_.options.name},
                             {"domain", report.found.domain},
                             {"day", absl::FormatTime("%Y-%m-%d", DayStart(report.found.day), absl::UTCTimeZone())},
                             {"rows", report.found.rows.size()},
                             {"queued", !report.mails.empty()}});
  }

  TlsReporter& reporter_;
  Engine& engine_;
  const bool more_;
  std::vector<Report> reports_;
};

absl::Time TlsReporter::DueTime(std::uint32_t day, absl::string_view domain, absl::string_view shard) {
  const std::uint64_t random = keys::ReadBig64(Digest(day, domain, shard));
  const std::uint64_t spread = static_cast<std::uint64_t>(absl::ToInt64Seconds(kLast - kFirst));
  return DayStart(day + 1) + kFirst + absl::Seconds(static_cast<std::int64_t>(random % spread));
}

void TlsReporter::Tick() {
  const std::int64_t now = engine_.NowMicros();
  if (busy_ || now < next_look_) return;
  next_look_ = now + kLookPeriod;
  busy_ = true;
  engine_.housekeepers.Push([this] { Look(); });
}

// Passes over the domains whose time has not come by one seek each.
void TlsReporter::Look() {
  const absl::Time now = engine_.clock.Now();
  const std::string today = keys::TlsReportDay(keys::Day(absl::ToUnixMicros(now)));
  std::vector<Found> found;
  {
    const auto cursor = engine_.store->Scan(Family::kMeta, keys::kTlsReports, today);
    while (cursor != nullptr && cursor->Valid() && found.size() < kReportsStep && !engine_.stopping) {
      const auto parts = keys::ParseTlsReport(cursor->key());
      if (!parts) {
        cursor->Next();
        continue;
      }
      Found each{parts->day, std::string(parts->domain), {}};
      const std::string prefix = keys::TlsReportPrefix(each.day, each.domain);
      if (DueTime(each.day, each.domain, engine_.options.name) > now) {
        cursor->Seek(keys::PrefixEnd(prefix));
        continue;
      }
      for (; cursor->Valid() && absl::StartsWith(cursor->key(), prefix); cursor->Next()) {
        each.rows.emplace_back(cursor->key(), cursor->value());
      }
      found.push_back(std::move(each));
    }
    if (cursor == nullptr || !cursor->status().ok()) return Settled(false);
  }
  if (found.empty()) return Settled(false);
  const bool more = found.size() == kReportsStep;
  engine_.committer.Push(std::make_unique<SendOperation>(*this, std::move(found), more));
}

void TlsReporter::Settled(bool more) {
  if (more && !engine_.stopping) return engine_.housekeepers.Push([this] { Look(); });
  busy_ = false;
}

}  // namespace hikyaku::queue
