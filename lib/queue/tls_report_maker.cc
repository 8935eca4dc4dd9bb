#include "lib/queue/tls_report_maker.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/address.h"
#include "lib/base/message_id.h"
#include "lib/base/random.h"
#include "lib/dsn/options.h"
#include "lib/https/url.h"
#include "lib/queue/engine.h"
#include "lib/tls_report/gzip.h"
#include "lib/tls_report/record.h"
#include "lib/tls_report/report.h"
#include "lib/tls_report/report_mail.h"

namespace hikyaku::queue {
namespace {

using storage::v1::TlsReportRow;

constexpr std::size_t kMaxTargets = 8;  // A record that changed within the day adds its new ones.
constexpr std::size_t kBoundaryBytes = 16;
constexpr std::int64_t kTriedForMicros = std::int64_t{24} * 3600 * 1'000'000;  // RFC 8460 §5.5.
constexpr char kTenant[] = "default";

// Where a report goes.
struct Targets {
  std::map<std::string, std::vector<std::string>> by_domain;  // Addresses.
  std::vector<std::string> addresses;
  std::vector<std::pair<std::string, std::string>> urls;  // Origin, and the whole.
  bool unusable = false;                                  // There was a URL that nobody may be sent to.
};

void AddTarget(const std::string& uri, Targets* targets) {
  if (const auto address = tls_report::MailtoAddress(uri)) {
    targets->by_domain[address->domain].push_back(address->ToString());
    targets->addresses.push_back(address->ToString());
  } else if (absl::StartsWithIgnoreCase(uri, "https:")) {
    const auto url = https::ParseUrl(uri);
    targets->unusable |= !url.ok();
    if (url.ok()) targets->urls.emplace_back(url->Origin(), uri);
  }
}

Targets TargetsOf(const std::vector<TlsReportRow>& rows) {
  Targets targets;
  std::set<std::string> seen;
  for (const TlsReportRow& row : rows) {
    for (const std::string& uri : row.session().report_to()) {
      if (seen.size() < kMaxTargets && seen.insert(uri).second) AddTarget(uri, &targets);
    }
  }
  return targets;
}

class Maker {
 public:
  Maker(Engine& engine, ReportPolicy policy, std::uint32_t day, const std::string& domain)
      : engine_(engine), policy_(std::move(policy)), id_(MessageId::Generate(engine.clock.Now())) {
    frame_.organization = policy_.tls.organization;
    frame_.contact = policy_.tls.contact;
    frame_.domain = domain;
    frame_.day_start = absl::FromUnixSeconds(std::int64_t{day} * 86'400);
    frame_.until = engine.clock.Now();
    frame_.report_id = absl::StrCat(absl::FormatTime("%Y%m%d", frame_.day_start, absl::UTCTimeZone()), ".", domain, ".",
                                    id_.text(), "@", policy_.hostname);
  }

  std::string Json(const std::vector<TlsReportRow>& rows) const { return tls_report::BuildReport(frame_, rows); }

  void Mail(const std::string& json, const Targets& targets, std::vector<ReportMail>* mails) const {
    tls_report::ReportMail mail;
    mail.unique_id = id_.text();
    mail.frame = frame_;
    mail.from = policy_.tls.from;
    mail.to = targets.addresses;
    mail.message_id = absl::StrCat(id_.text(), "@", policy_.hostname);
    mail.date = engine_.clock.Now();
    mail.boundary_token = RandomHex(kBoundaryBytes);
    std::string bytes = tls_report::BuildMail(mail, json);
    storage::v1::Delivery delivery = Frame(id_, bytes.size());
    delivery.mutable_envelope()->set_tls_optional(true);
    delivery.set_destinations(static_cast<std::uint32_t>(targets.by_domain.size()));
    const std::size_t first = mails->size();
    for (const auto& [domain, recipients] : targets.by_domain) {
      delivery.set_domain(domain);
      delivery.clear_recipients();
      for (const std::string& recipient : recipients) AddRecipient(recipient, &delivery);
      mails->push_back(MailOf(delivery));
    }
    (*mails)[first].body = std::move(bytes);
  }

  // Each with an id of its own: two may be of one origin.
  void Post(const std::string& json, const Targets& targets, std::vector<ReportMail>* mails) const {
    const std::string bytes = targets.urls.empty() ? "" : tls_report::Gzip(json);
    for (const auto& [origin, url] : targets.urls) {
      storage::v1::Delivery delivery = Frame(MessageId::Generate(engine_.clock.Now()), bytes.size());
      delivery.mutable_envelope()->set_post_type(tls_report::kPackedType);
      delivery.mutable_envelope()->set_eight_bit(true);
      delivery.set_destinations(1);
      delivery.set_domain(origin);
      AddRecipient(url, &delivery);
      mails->push_back(MailOf(delivery));
      mails->back().body = bytes;
    }
  }

 private:
  storage::v1::Delivery Frame(const MessageId& id, std::size_t size) const {
    const std::int64_t now = engine_.NowMicros();
    storage::v1::Delivery delivery;
    storage::v1::Envelope& envelope = *delivery.mutable_envelope();
    envelope.set_message_id(std::string(id.bytes()));
    envelope.set_tenant(kTenant);
    envelope.set_sender(policy_.tls.from);
    envelope.set_message_id_header(absl::StrCat(id_.text(), "@", policy_.hostname));
    envelope.set_size(size);
    envelope.set_accept_micros(now);
    envelope.set_expire_micros(now + std::min<std::int64_t>(engine_.lifetime_micros, kTriedForMicros));
    envelope.set_priority(v1::PRIORITY_BULK);
    delivery.set_due_micros(now);
    delivery.set_body_part(engine_.body_parts.fetch_add(1));
    return delivery;
  }

  static void AddRecipient(const std::string& address, storage::v1::Delivery* delivery) {
    storage::v1::Recipient& added = *delivery->add_recipients();
    added.set_address(address);
    added.set_state(v1::RECIPIENT_STATE_QUEUED);
    added.set_notify(dsn::kNever);
  }

  Engine& engine_;
  const ReportPolicy policy_;
  const MessageId id_;  // Of the report, and of the mail.
  tls_report::ReportFrame frame_;
};

}  // namespace

MadeTlsReport MakeTlsReport(Engine& engine, std::uint32_t day, const std::string& domain,
                            const std::vector<TlsReportRow>& rows) {
  MadeTlsReport made;
  ReportPolicy policy = engine.reports();
  if (rows.empty() || policy.tls.from.empty()) {
    made.fates.push_back(TlsReportFate::kNotMade);
    return made;
  }
  const Targets targets = TargetsOf(rows);
  if (targets.unusable) made.fates.push_back(TlsReportFate::kBadUrl);
  if (targets.addresses.empty() && targets.urls.empty()) {
    made.fates.push_back(TlsReportFate::kNoAddress);
    return made;
  }
  made.fates.push_back(TlsReportFate::kQueued);
  const Maker maker(engine, std::move(policy), day, domain);
  const std::string json = maker.Json(rows);
  if (!targets.addresses.empty()) maker.Mail(json, targets, &made.mails);
  maker.Post(json, targets, &made.mails);
  return made;
}

}  // namespace hikyaku::queue
