#include "lib/queue/tls_reporter.h"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/crypto/digest.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"
#include "lib/queue/tls_report_maker.h"

namespace hikyaku::queue {
namespace {

using storage::v1::TlsReportRow;

constexpr absl::Duration kFirst = absl::Minutes(5);
constexpr absl::Duration kLast = absl::Hours(4);

constexpr std::int64_t kLookPeriod = 60'000'000;
constexpr std::size_t kReportsStep = 20;  // In one commit.
constexpr int kMostChanges = 50;          // Of counts, between the look and the commit of one wish.

absl::Time DayStart(std::uint32_t day) { return absl::FromUnixSeconds(std::int64_t{day} * 86'400); }

// The rows of one domain and day, as they are at rest.
struct Found {
  std::uint32_t day = 0;
  std::string domain;
  std::vector<std::pair<std::string, std::string>> rows;  // Key and value.

  std::string Prefix() const { return keys::TlsReportPrefix(day, domain); }
};

// Those between two keys that `wanted` wants, kReportsStep at most. Passes over the others by one seek each.
absl::StatusOr<std::vector<Found>> Find(const Engine& engine, absl::string_view from, absl::string_view to,
                                        absl::FunctionRef<bool(const Found&)> wanted) {
  std::vector<Found> found;
  const auto cursor = engine.store->Scan(Family::kMeta, from, to);
  while (cursor != nullptr && cursor->Valid() && found.size() < kReportsStep && !engine.stopping) {
    const auto parts = keys::ParseTlsReport(cursor->key());
    if (!parts) {
      cursor->Next();
      continue;
    }
    Found each{parts->day, std::string(parts->domain), {}};
    const std::string prefix = each.Prefix();
    if (!wanted(each)) {
      cursor->Seek(keys::PrefixEnd(prefix));
      continue;
    }
    for (; cursor->Valid() && absl::StartsWith(cursor->key(), prefix); cursor->Next()) {
      each.rows.emplace_back(cursor->key(), cursor->value());
    }
    found.push_back(std::move(each));
  }
  if (cursor == nullptr) return absl::UnavailableError("the store is being reopened");
  if (!cursor->status().ok()) return cursor->status();
  if (engine.stopping) return absl::UnavailableError("stopping");
  return found;
}

struct Report {
  Found found;
  MadeTlsReport made;
  bool unchanged = false;  // Since it was found: it was sent.
};

}  // namespace

// Sends what was found and forgets it, unless it has changed meanwhile: then it can be found again.
class TlsReporter::SendOperation : public Operation {
 public:
  using Sent = absl::AnyInvocable<void(const absl::Status&, const std::vector<Report>&)>;

  SendOperation(Engine& engine, std::vector<Found> found, Sent sent) : engine_(engine), sent_(std::move(sent)) {
    for (Found& each : found) {
      Report& report = reports_.emplace_back();
      report.found = std::move(each);
      report.made = MakeTlsReport(engine_, report.found.day, report.found.domain, RowsOf(report.found));
    }
  }

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    for (Report& report : reports_) {
      report.unchanged = Unchanged(group.store, report.found);
      if (!report.unchanged) continue;
      for (const auto& row : report.found.rows) group.batch.Delete(Family::kMeta, row.first);
      PutMails(group, report.made.mails);
    }
  }

  void Finish(const absl::Status& status) override {
    for (const Report& report : reports_) {
      if (status.ok() && report.unchanged) Committed(report);
    }
    sent_(status, reports_);
  }

 private:
  // Those that cannot be read go with the others.
  static std::vector<TlsReportRow> RowsOf(const Found& found) {
    std::vector<TlsReportRow> rows;
    for (const auto& [key, value] : found.rows) {
      TlsReportRow row;
      if (row.ParseFromString(value)) rows.push_back(std::move(row));
    }
    return rows;
  }

  static bool Unchanged(Store& store, const Found& found) {
    const std::string prefix = found.Prefix();
    const auto cursor = store.Scan(Family::kMeta, prefix, keys::PrefixEnd(prefix));
    if (cursor == nullptr) return false;
    for (const auto& [key, value] : found.rows) {
      if (!cursor->Valid() || cursor->key() != key || cursor->value() != value) return false;
      cursor->Next();
    }
    return !cursor->Valid() && cursor->status().ok();
  }

  void Committed(const Report& report) {
    MailsCommitted(engine_, report.made.mails);
    for (const TlsReportFate fate : report.made.fates) {
      engine_.metrics.tls_reports[static_cast<int>(fate)]->Increment();
    }
    log::Info("tls_report", {{"shard", engine_.options.name},
                             {"domain", report.found.domain},
                             {"day", absl::FormatTime("%Y-%m-%d", DayStart(report.found.day), absl::UTCTimeZone())},
                             {"rows", report.found.rows.size()},
                             {"queued", !report.made.mails.empty()}});
  }

  Engine& engine_;
  Sent sent_;
  std::vector<Report> reports_;
};

// One call of SendNow: walks over the rows in the order of their keys, step by step.
class TlsReporter::Wish : public std::enable_shared_from_this<TlsReporter::Wish> {
 public:
  Wish(Engine& engine, v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done)
      : engine_(engine),
        request_(std::move(request)),
        done_(std::move(done)),
        to_(keys::TlsReportDay(keys::Day(engine.NowMicros()) + (request_.ended_days_only() ? 0 : 1))) {}

  void Step() {
    auto found = Find(engine_, from_, to_, [this](const Found& each) {
      return request_.domain().empty() || each.domain == request_.domain();
    });
    if (!found.ok()) return std::move(done_)(found.status());
    if (found->empty()) return std::move(done_)(std::move(response_));
    from_ = keys::PrefixEnd(found->back().Prefix());
    auto sent = [self = shared_from_this()](const absl::Status& status, const std::vector<Report>& reports) {
      self->Sent(status, reports);
    };
    engine_.committer.Push(std::make_unique<SendOperation>(engine_, *std::move(found), std::move(sent)));
  }

 private:
  void Sent(const absl::Status& status, const std::vector<Report>& reports) {
    if (!status.ok()) return std::move(done_)(status);
    for (auto report = reports.rbegin(); report != reports.rend(); ++report) {
      if (report->unchanged && report->made.mails.empty()) {
        response_.set_without_address(response_.without_address() + 1);
      } else if (report->unchanged) {
        response_.set_reports(response_.reports() + 1);
      } else {
        from_ = report->found.Prefix();
        if (++changes_ > kMostChanges) return std::move(done_)(absl::AbortedError("the counts change too fast"));
      }
    }
    engine_.housekeepers.Push([self = shared_from_this()] { self->Step(); });
  }

  Engine& engine_;
  const v1::SendTlsReportsRequest request_;
  Done<v1::SendTlsReportsResponse> done_;
  v1::SendTlsReportsResponse response_;
  std::string from_ = std::string(keys::kTlsReports);
  const std::string to_;
  int changes_ = 0;
};

void TlsReporter::SendNow(v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done) {
  if (engine_.reports().tls.from.empty()) {
    return std::move(done)(absl::FailedPreconditionError("reports.tls.from is not set: there are no reports on TLS"));
  }
  const auto wish = std::make_shared<Wish>(engine_, std::move(request), std::move(done));
  engine_.housekeepers.Push([wish] { wish->Step(); });
}

absl::Time TlsReporter::DueTime(std::uint32_t day, absl::string_view domain, absl::string_view shard) {
  const std::string digest = crypto::Sha256(absl::StrCat("tls report ", day, " ", domain, " ", shard));
  const std::uint64_t spread = static_cast<std::uint64_t>(absl::ToInt64Seconds(kLast - kFirst));
  return DayStart(day + 1) + kFirst + absl::Seconds(static_cast<std::int64_t>(keys::ReadBig64(digest) % spread));
}

void TlsReporter::Tick() {
  const std::int64_t now = engine_.NowMicros();
  if (busy_ || now < next_look_) return;
  next_look_ = now + kLookPeriod;
  busy_ = true;
  engine_.housekeepers.Push([this] { Look(); });
}

void TlsReporter::Look() {
  const absl::Time now = engine_.clock.Now();
  auto found = Find(engine_, keys::kTlsReports, keys::TlsReportDay(keys::Day(absl::ToUnixMicros(now))),
                    [&](const Found& each) { return DueTime(each.day, each.domain, engine_.options.name) <= now; });
  if (!found.ok() || found->empty()) return Settled(false);
  const bool more = found->size() == kReportsStep;
  auto sent = [this, more](const absl::Status& status, const std::vector<Report>&) { Settled(status.ok() && more); };
  engine_.committer.Push(std::make_unique<SendOperation>(engine_, *std::move(found), std::move(sent)));
}

void TlsReporter::Settled(bool more) {
  if (more && !engine_.stopping) return engine_.housekeepers.Push([this] { Look(); });
  busy_ = false;
}

}  // namespace hikyaku::queue
