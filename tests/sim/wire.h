// One lease stream over a link: words in order, in both directions, until an end of it breaks. The two ends may learn
// of that at different times, the far one only by its keepalive if the network is cut.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_WIRE_H_
#define HIKYAKU_TESTS_SIM_WIRE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lib/queue/shard.h"
#include "tests/sim/link.h"

namespace hikyaku::sim {

class Wire : public queue::LeaseListener, public std::enable_shared_from_this<Wire> {
 public:
  Wire(Link& link, queue::LeaseListener* worker) : link_(link), listener_(worker) {}

  void Open(std::string worker);

  // Words of the worker to the shard.
  using Word = std::function<void(queue::LeaseStream&)>;
  void Say(Word word);
  absl::Duration lease_time() const { return lease_time_; }
  // The worker says this.
  void NoteVerdict(const internal::v1::Verdict& verdict);
  bool LosesVerdict();  // Mutant::kLoseVerdict.
  bool CountsTwice();   // Mutant::kCountTwice.

  // The worker's end is closed by the worker: it hears nothing any more.
  void CloseByWorker();
  // The ends hear that the stream is broken, each after its own time.
  void Break(absl::Duration worker_hears, absl::Duration shard_hears);
  // The same while the network is cut: after some keepalives.
  void BreakByKeepalive();
  // The worker's process is gone.
  void DropWorker();

  // Of the shard's end.
  void OnLease(queue::Lease lease) override;
  void OnRecorded(std::uint64_t lease) override;
  void OnRevoked(std::uint64_t lease) override;
  void OnClosed(absl::Status why) override;

 private:
  struct Way {
    std::deque<std::function<void()>> words;
    bool moving = false;
  };

  void Send(Way& way, std::function<void()> word);
  void Move(Way& way);
  void Accept(const std::string& worker);
  void Tell(std::function<void(queue::LeaseListener&)> word);
  void EndWorker(const absl::Status& why);
  void EndShard();

  Link& link_;
  queue::LeaseListener* listener_;  // Null: it was told of the end, or is gone.
  std::shared_ptr<ShardNode::Life> life_;
  std::unique_ptr<queue::LeaseStream> stream_;  // The shard's end.
  bool shard_ended_ = false;
  absl::Duration lease_time_;
  std::map<std::uint64_t, Leased> leased_;  // By lease.
  Way up_;                                  // To the shard.
  Way down_;                                // To the worker.
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_WIRE_H_
