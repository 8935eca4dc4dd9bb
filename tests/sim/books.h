// What really happened in a run, noted where it cannot be denied: at the clients, at the edge of each shard, and at the
// mail hosts. At the end, the promises of the house (docs/flow.md) are checked against it.
//
// A mail is known by its token, which its text carries; an attempt to have it accepted is a try. A try that was
// answered by nobody is in doubt: it may be delivered or not.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_BOOKS_H_
#define HIKYAKU_TESTS_SIM_BOOKS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "hikyaku/internal/v1/queue.pb.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "tests/sim/promises.h"
#include "tests/sim/report_books.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/tls_report_books.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

enum class Answer { kPending, kAccepted, kRefused, kUnknown };

// A fault that can explain a duplicate.
struct Fault {
  enum Kind { kWorkerCrash, kShardCrash, kStreamBroken, kPartition };
  Kind kind;
  int worker;  // -1: of any.
  int shard;   // -1: of any.
  absl::Duration from;
  absl::Duration to;
};

// What a client sends.
struct Written {
  std::vector<std::string> recipients;
  std::string payload;  // What must arrive, as the end of the message.
  bool keyed = false;
  bool hurried = false;  // It asked to end earlier than the queue would end it.
  Wish wish;             // What its sender is to be told of.
  SenderTls tls = SenderTls::kNone;
};

class Books {
 public:
  explicit Books(World& world);

  // ---- Clients. ----
  void NoteMail(const std::string& token, Written written);
  void NoteAnswer(const std::string& token, Answer answer);

  // ---- The edge of a shard. ----
  void NoteEnqueue(int shard, const internal::v1::EnqueueRequest& request);
  // What the submission was told.
  void NoteEnqueued(int shard, const internal::v1::EnqueueRequest& request, const absl::Status& status);
  void NoteLease(int worker, int shard, const storage::v1::Envelope& envelope, const std::string& domain);

  // ---- Mail hosts. ----
  // A host took the mail for these recipients. `reply_lost`: and the client will not hear of it.
  void NoteTaken(const Channel& channel, const std::string& data, const std::vector<std::string>& recipients,
                 bool reply_lost);
  void NoteNoRequireTls(int host) { promises_.NoteNoRequireTls(host); }
  void NoteBrokenTls(int worker, int host) { promises_.NoteBrokenTls(worker, host); }
  void NotePolicyTold(int worker, const std::string& domain) { promises_.NotePolicyTold(worker, domain); }
  void NoteWorkerStart(int worker) { promises_.NoteWorkerStart(worker); }
  // A host refused for good.
  void NoteRefused(const std::string& recipient) { refused_.insert(recipient); }
  // The DNS said of a domain what ends its mail.
  void NoteDead(const std::string& domain) { dead_domains_.insert(domain); }
  DnsBooks& dns() { return promises_.dns(); }
  TlsReportBooks& tls_reports() { return tls_reports_; }
  // A purge begins; the answer is for NotePurgeEnd, when it was answered or its shard went down.
  std::size_t NotePurge(int shard, const std::string& domain);
  void NotePurgeEnd(std::size_t purge);

  // ---- Faults. ----
  void NoteFault(Fault fault) { faults_.push_back(fault); }

  // ---- At the end. ----
  struct Terms {
    absl::Duration lifetime;
    absl::Duration delay_after;  // As of queue::ReportPolicy.
    bool wrong_clocks = false;   // The clock of a node was set, so that times of events prove nothing.
  };
  void Check(const std::vector<SimDisk*>& disks, const Terms& terms);
  void Problem(std::string what);
  const std::vector<std::string>& problems() const { return problems_; }

  struct Counts {
    std::uint64_t mails = 0, accepted = 0, refused = 0, unknown = 0;
    std::uint64_t taken = 0, duplicates = 0, twins = 0, bounced = 0, expired = 0, faults = 0;
    std::uint64_t reports = 0, tls_reports = 0, tls_sessions = 0;
    Promises::Counts promises;
  };
  Counts counts() const;

 private:
  struct Mail : Written {
    Answer answer = Answer::kPending;
    std::set<std::string> ids;
  };
  // What a shard was asked for one part of a message.
  struct Asked {
    int calls = 0;
    int refusals = 0;  // "Nothing was written."
  };
  // What the events of one shard say of a recipient.
  struct Ends {
    int accepted = 0, delivered = 0, bounced = 0, expired = 0, cancelled = 0;
    std::int64_t accept_micros = 0;
    int terminal() const { return delivered + bounced + expired + cancelled; }
  };
  struct Purge {
    int shard;
    std::string domain;
    absl::Duration from;
    absl::Duration to;
  };
  using Key = std::pair<std::string, std::string>;  // Message id, or token; and recipient, or domain.

  void ReadEvents(int shard, const SimDisk& disk, const Terms& terms);
  void ReadEvent(int shard, const v1::Event& event, const Terms& terms);
  void CheckDisk(int shard, const SimDisk& disk);
  void CheckReports();
  void CheckTlsReports(const std::vector<SimDisk*>& disks, const Terms& terms);
  void CheckEnds(const std::string& token, const std::string& id, const std::string& recipient, Ends& sum);
  void CheckMail(const std::string& token, const Mail& mail);
  void CheckTaken(const std::string& token, const Mail& mail, const std::string& recipient, const Ends& ends);
  void CheckFate(const std::string& what, const std::string& recipient, int bounced, int cancelled);
  // `ended`: deliveries that the events tell of.
  void CheckCopies(const std::string& what, const std::string& domain, const std::vector<Receipt>& taken, int ended,
                   int cancelled, bool twin);
  // `second`: the next one; null: there is none.
  bool Explained(const Receipt& first, const Receipt* second) const;
  bool PurgedUnderWay(const Receipt& taken, const std::string& domain) const;
  bool IsTwin(const Mail& mail, const std::string& domain) const;

  World& world_;
  Promises promises_;
  ReportBooks reports_;
  TlsReportBooks tls_reports_;
  int shards_ = 0;
  std::map<std::string, Mail> mails_;          // By token.
  std::map<std::string, std::string> tokens_;  // By message id.
  // Their hashes, by message id: one, but that a repeat under a key may come through another front-end, whose trace
  // field has another name in it.
  std::map<std::string, std::set<std::uint64_t>> bodies_;
  std::map<Key, std::map<int, Asked>> asked_;  // By id and domain, then by shard.
  std::map<Key, std::map<int, int>> leases_;   // By token and domain: worker → the shard that leased it last.
  std::map<Key, std::vector<Receipt>> taken_;  // By token and recipient.
  std::map<std::pair<int, Key>, Ends> ends_;   // By shard, id and recipient.
  std::set<std::string> refused_, dead_domains_;
  std::vector<Purge> purges_;
  std::vector<Fault> faults_;
  std::vector<std::string> problems_;
  Counts counts_;
};

// "Subject: " in the header of a message; empty: none.
std::string TokenOf(absl::string_view message);
std::string DomainOf(const std::string& recipient);
std::uint64_t HashOf(absl::string_view bytes);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_BOOKS_H_
