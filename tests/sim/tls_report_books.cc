#include "tests/sim/tls_report_books.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/queue/keys.h"
#include "tests/sim/books.h"
#include "tests/sim/domains.h"

namespace hikyaku::sim {
namespace {

namespace keys = queue::keys;
using queue::Family;
using storage::v1::TlsSession;

// A connection stands behind it.
bool WasOpened(const TlsSession& session) { return session.result_type().empty() || !session.receiving_ip().empty(); }

// What is wrong with the policy that a session is told of for mail to `domain`; empty: nothing.
std::string WrongPolicy(const TlsSession& session, const std::string& domain) {
  const std::string& of = session.policy_domain();
  if (session.policy_type() == "tlsa") {
    const std::vector<int> hosts = HostsOf(domain);
    const int host = HostNumber(of);
    const bool own =
        PolicyOf(domain) >= delivery::TlsLevel::kDane && std::find(hosts.begin(), hosts.end(), host) != hosts.end();
    return own ? "" : absl::StrCat("TLSA of ", of);
  }
  if (of != domain) return absl::StrCat("a policy of ", of);
  return session.policy_type() == "sts" && StsOf(domain).mode == Sts::kNone ? "MTA-STS that it does not have" : "";
}

std::string Text(const Sessions& sessions) {
  std::string text;
  for (const auto& [result, count] : sessions) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", count, " ", result.empty() ? "good" : result);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string TlsReportBooks::VerdictKey(int shard, const std::string& id, const std::string& domain,
                                       const google::protobuf::Timestamp& time) {
  return absl::StrCat(shard, " ", id, " ", domain, " ", time.seconds(), ".", time.nanos());
}

// An event has the time of its outcome, which the worker gave: by that the verdict is known that was recorded.
void TlsReportBooks::NoteVerdict(int worker, int shard, const Leased& leased, const internal::v1::Verdict& verdict) {
  if (verdict.tls_sessions().empty()) return;
  JudgeSessions(worker, leased, verdict);
  Sessions& sessions = verdicts_[VerdictKey(shard, leased.id, leased.domain, verdict.outcomes(0).time())];
  for (const TlsSession& session : verdict.tls_sessions()) ++sessions[session.result_type()];
}

void TlsReportBooks::JudgeSessions(int worker, const Leased& leased, const internal::v1::Verdict& verdict) {
  const std::string what = absl::StrCat(leased.id, " ", leased.domain);
  if (leased.waives) problem_(absl::StrCat("sessions are counted of mail that waives TLS: ", what));
  if (!WantsTlsReports(DomainNumber(leased.domain))) problem_(absl::StrCat("sessions are counted unasked: ", what));
  for (const TlsSession& session : verdict.tls_sessions()) {
    const std::string wrong = WrongPolicy(session, leased.domain);
    if (!wrong.empty()) problem_(absl::StrCat("a session under ", wrong, ": ", what));
  }
  const std::vector<int> hosts = HostsOf(leased.domain);
  const auto& opened = connections_[worker];
  const auto seen = std::count_if(opened.begin(), opened.end(), [&](const auto& connection) {
    return connection.first >= leased.time && std::find(hosts.begin(), hosts.end(), connection.second) != hosts.end();
  });
  const auto told = std::count_if(verdict.tls_sessions().begin(), verdict.tls_sessions().end(), WasOpened);
  if (told > seen) problem_(absl::StrCat("told of ", told, " sessions, of which hosts saw ", seen, ": ", what));
}

void TlsReportBooks::AddRow(int shard, absl::string_view key, const std::string& value, Account& account) {
  const auto parts = keys::ParseTlsReport(key);
  storage::v1::TlsReportRow row;
  if (!parts.has_value() || !row.ParseFromString(value)) {
    return problem_(absl::StrCat("q", shard, ": a row on TLS that cannot be read"));
  }
  account[{shard, std::string(parts->domain), parts->day}][row.session().result_type()] += row.count();
}

void TlsReportBooks::NoteCommit(int shard, const SimDisk::Changes& changes, const SimDisk::Map& meta) {
  Account ended, told;
  for (const SimDisk::Change& change : changes) {
    if (change.family == Family::kBody && change.value.has_value()) NoteReport(shard, *change.value, told);
    const bool deleted = !change.value.has_value() && absl::StartsWith(change.key, keys::kTlsReports);
    if (change.family != Family::kMeta || !deleted) continue;
    const auto row = meta.find(change.key);
    if (row != meta.end()) AddRow(shard, row->first, row->second, ended);
  }
  if (ended != told) Compare(ended, told);
  for (const auto& [day, sessions] : told) {
    ++reports_of_day_[day];
    for (const auto& [result, count] : sessions) reported_[day][result] += count;
  }
}

void TlsReportBooks::NoteReport(int shard, absl::string_view message, Account& told) {
  const std::string id = TlsReportIdOf(message);
  if (id.empty()) return;
  const auto text = ReadTlsReport(message);
  if (!text.ok()) return problem_(absl::StrCat("the report on TLS ", id, ": ", text.status().ToString()));
  told[{shard, text->domain, text->day}] = text->sessions;
  Report& report = reports_[id];
  report.shard = shard;
  report.domain = text->domain;
  report.day = text->day;
  report.body = HashOf(message);
  for (const std::string& domain : TlsReportReceivers(DomainNumber(text->domain))) report.ways[domain];
}

// ---- The way of a report. ----

void TlsReportBooks::NoteLease(int worker, int shard, const std::string& id, const std::string& domain) {
  reports_[id].ways[domain].leases[worker] = shard;
}

void TlsReportBooks::NoteTaken(const std::string& id, absl::string_view message,
                               const std::vector<std::string>& recipients, Receipt taken) {
  const auto found = reports_.find(id);
  if (found == reports_.end()) return problem_(absl::StrCat("a host got a report on TLS that nobody made: ", id));
  Report& report = found->second;
  if (report.body != HashOf(message)) problem_(absl::StrCat("corrupt: the report on TLS ", id));
  const std::string domain = DomainOf(recipients[0]);
  const auto way = report.ways.find(domain);
  if (recipients.size() != 1 || way == report.ways.end() || recipients[0] != absl::StrCat("tls@", domain)) {
    return problem_(absl::StrCat("misdirected: the report on TLS ", id));
  }
  const auto lease = way->second.leases.find(taken.worker);
  if (lease == way->second.leases.end()) problem_(absl::StrCat("delivered without a lease: the report on TLS ", id));
  taken.shard = lease == way->second.leases.end() ? -1 : lease->second;
  way->second.taken.push_back(taken);
}

// ---- The end. ----

void TlsReportBooks::ReadEvent(int shard, const v1::Event& event) {
  using v1::Event;
  if (event.has_outcome()) {
    const std::string key = VerdictKey(shard, event.message_id(), event.domain(), event.outcome().time());
    const auto verdict = verdicts_.find(key);
    if (verdict != verdicts_.end() && recorded_verdicts_.insert(key).second) {
      const Day day{shard, event.domain(), keys::Day(event.time().seconds() * 1'000'000)};
      for (const auto& [result, count] : verdict->second) {
        recorded_[day][result] += count;
        recorded_sessions_ += count;
      }
    }
  }
  const auto report = reports_.find(event.message_id());
  if (report == reports_.end()) return;
  Way& way = report->second.ways[event.domain()];
  way.accepted += event.type() == Event::TYPE_ACCEPTED;
  way.delivered += event.type() == Event::TYPE_DELIVERED;
  way.bounced += event.type() == Event::TYPE_BOUNCED;
  way.cancelled += event.type() == Event::TYPE_CANCELLED;
  way.terminal += event.type() != Event::TYPE_ACCEPTED && event.type() != Event::TYPE_DEFERRED;
  if (!event.report_id().empty()) problem_(absl::StrCat("a report of a report on TLS: ", event.report_id()));
}

void TlsReportBooks::Check(const std::vector<SimDisk*>& disks, bool wrong_clocks) {
  Account found = reported_;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const SimDisk::Map& meta = *disks[i]->families[static_cast<int>(Family::kMeta)];
    for (auto it = meta.lower_bound(keys::kTlsReports); it != meta.end(); ++it) {
      if (!absl::StartsWith(it->first, keys::kTlsReports)) break;
      AddRow(static_cast<int>(i), it->first, it->second, found);
    }
  }
  Compare(recorded_, found);
  for (const auto& [day, count] : reports_of_day_) {
    // A clock that was set back over midnight begins the day again, and so does a report that an operator wished for.
    if (count == 1 || wrong_clocks || wished_) continue;
    problem_(absl::StrCat(count, " reports on TLS of one day: q", std::get<0>(day), " ", std::get<1>(day)));
  }
  for (const auto& [id, report] : reports_) {
    for (const auto& [domain, way] : report.ways) {
      const std::string what = absl::StrCat("the report on TLS ", id, " to ", domain);
      if (way.accepted != 1) problem_(absl::StrCat("queued ", way.accepted, " times: ", what));
      if (way.terminal != 1) problem_(absl::StrCat(way.terminal, " ends: ", what));
      if (static_cast<int>(way.taken.size()) < way.delivered) problem_(absl::StrCat("told as delivered: ", what));
    }
  }
}

void TlsReportBooks::Compare(const Account& told, const Account& found) {
  std::set<Day> days;
  for (const auto& [day, sessions] : told) days.insert(day);
  for (const auto& [day, sessions] : found) days.insert(day);
  const auto of = [](const Account& account, const Day& day) {
    const auto it = account.find(day);
    return it == account.end() ? Sessions() : it->second;
  };
  for (const Day& day : days) {
    if (of(told, day) == of(found, day)) continue;
    problem_(absl::StrCat("sessions with ", std::get<1>(day), " on day ", std::get<2>(day), " at q", std::get<0>(day),
                          " do not add up: ", Text(of(told, day)), " became ", Text(of(found, day))));
  }
}

}  // namespace hikyaku::sim
