// The account of sessions for reports on TLS (RFC 8460): what workers told, what is recorded, what the reports say.
//
// What is promised: the sessions of each verdict that is recorded are counted once, for its domain and the UTC day; the
// rows of a domain and day end in the very commit that queues their report, once; and the report arrives as any mail
// does. So for each shard, domain and day, what was told is what the reports say and the rows that are left.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_TLS_REPORT_BOOKS_H_
#define HIKYAKU_TESTS_SIM_TLS_REPORT_BOOKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "hikyaku/internal/v1/queue.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "tests/sim/report_books.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/tls_report_reader.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// A lease, as the worker got it.
struct Leased {
  std::string id;      // Of the message.
  std::string domain;  // Of its recipients.
  bool waives = false;
  absl::Duration time;
};

class TlsReportBooks {
 public:
  // The way of one report to the addresses in one domain.
  struct Way {
    int accepted = 0, delivered = 0, bounced = 0, cancelled = 0, terminal = 0;
    std::map<int, int> leases;  // Worker → the shard that leased it last.
    std::vector<Receipt> taken;
  };
  struct Report {
    int shard = 0;
    std::string domain;  // On which it reports.
    std::uint32_t day = 0;
    std::uint64_t body = 0;           // Hash.
    std::map<std::string, Way> ways;  // By domain of the addresses.
  };

  TlsReportBooks(const World& world, std::function<void(std::string)> problem)
      : world_(world), problem_(std::move(problem)) {}

  // A worker has a connection to a host.
  void NoteConnection(int worker, int host) { connections_[worker].emplace_back(world_.now(), host); }

  // A worker reports to a shard; whether that records it is not known.
  void NoteVerdict(int worker, int shard, const Leased& leased, const internal::v1::Verdict& verdict);

  // A batch comes to the disk of a shard; `meta`: as it was before.
  void NoteCommit(int shard, const SimDisk::Changes& changes, const SimDisk::Map& meta);

  // An operator wants the reports now.
  void NoteWish() { wished_ = true; }

  // Whether `id` is of a report on TLS.
  bool Knows(const std::string& id) const { return reports_.count(id) > 0; }
  void NoteLease(int worker, int shard, const std::string& id, const std::string& domain);
  // `message`: without signatures.
  void NoteTaken(const std::string& id, absl::string_view message, const std::vector<std::string>& recipients,
                 Receipt taken);

  // Any event of any mail.
  void ReadEvent(int shard, const v1::Event& event);

  // At the end, after all events. Copies and failures of the reports' own way are the caller's to judge.
  void Check(const std::vector<SimDisk*>& disks, bool wrong_clocks);

  // By id.
  const std::map<std::string, Report>& all() const { return reports_; }
  std::uint64_t sessions() const { return recorded_sessions_; }

 private:
  using Day = std::tuple<int, std::string, std::uint32_t>;  // Shard, domain and day.
  using Account = std::map<Day, Sessions>;

  void JudgeSessions(int worker, const Leased& leased, const internal::v1::Verdict& verdict);
  static std::string VerdictKey(int shard, const std::string& id, const std::string& domain,
                                const google::protobuf::Timestamp& time);
  void NoteReport(int shard, absl::string_view message, Account& told);
  void AddRow(int shard, absl::string_view key, const std::string& value, Account& account);
  void Compare(const Account& told, const Account& found);

  const World& world_;
  const std::function<void(std::string)> problem_;
  std::map<int, std::vector<std::pair<absl::Duration, int>>> connections_;  // By worker: when, and to which host.
  std::map<std::string, Sessions> verdicts_;
  std::set<std::string> recorded_verdicts_;
  std::uint64_t recorded_sessions_ = 0;
  Account recorded_;
  Account reported_;
  std::map<Day, int> reports_of_day_;
  bool wished_ = false;
  std::map<std::string, Report> reports_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_TLS_REPORT_BOOKS_H_
