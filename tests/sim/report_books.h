// The account of reports to senders (delivery status notifications): which events tell of one, what it says, and its
// own way to the sender.
//
// What is promised: what the sender asked to hear of is told, and nothing else, each once; a report says what the
// events say; it is queued once, ends once, and arrives whole; none is about a report.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_REPORT_BOOKS_H_
#define HIKYAKU_TESTS_SIM_REPORT_BOOKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"

namespace hikyaku::sim {

// What a sender asked to be told of.
struct Wish {
  bool success = false;
  bool failure = false;
  bool delay = false;
};

// A mail as a host took it.
struct Receipt {
  absl::Duration time;
  int worker;
  int shard;  // Of the lease; -1: there was none.
  bool reply_lost;
};

// The id of the report that `message` is; empty: it is none.
std::string ReportIdOf(absl::string_view message);

class ReportBooks {
 public:
  struct Report {
    std::string of;      // Id of the message that it is about; empty: nobody made it.
    std::string teller;  // Id of the message whose events name it.
    std::string domain;  // Of the sender, to whom it goes.
    int accepted = 0, delivered = 0, bounced = 0, cancelled = 0, terminal = 0;
    std::map<int, int> leases;  // Worker → the shard that leased it last.
    std::vector<Receipt> taken;
    std::set<std::uint64_t> bodies;                        // Hashes of what was taken.
    std::set<std::pair<std::string, std::string>> said;    // Recipient and action, by the report...
    std::set<std::pair<std::string, std::string>> events;  // ... and by the events that name it.
  };

  explicit ReportBooks(std::function<void(std::string)> problem) : problem_(std::move(problem)) {}

  // A shard was given the message, or a part of it: by the front-end's clock, from which delays are counted.
  void NoteEnqueue(const std::string& id, std::int64_t accept_micros);

  void NoteLease(int worker, int shard, const std::string& id, const storage::v1::Envelope& envelope);

  // `message`: without signatures.
  void NoteTaken(const std::string& id, absl::string_view message, const std::vector<std::string>& recipients,
                 Receipt taken);

  // `wish`: of who sent the message that the event is of. `delay_after`: of the shards.
  void ReadEvent(int shard, const v1::Event& event, const Wish& wish, absl::Duration delay_after);

  // At the end; copies and failures of the reports' own way are the caller's to judge.
  void Check();

  // By id.
  const std::map<std::string, Report>& all() const { return reports_; }

 private:
  // When the tries of a message were made that were under one key: one of them is the one that counts.
  struct Accepted {
    std::int64_t first;
    std::int64_t last;
  };

  void ReadOwn(const v1::Event& event);
  void ReadDelay(int shard, const v1::Event& event, const Wish& wish, absl::Duration delay_after);

  const std::function<void(std::string)> problem_;
  std::map<std::string, Report> reports_;
  std::map<std::string, Accepted> accepted_;                                   // By message id.
  std::set<std::pair<int, std::pair<std::string, std::string>>> delays_told_;  // By shard, id and recipient.
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_REPORT_BOOKS_H_
