// The services that send mail, over gRPC and over SMTP. Some of them repeat a request under its idempotency key until
// it is taken, as a good client does; some give up.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_CLIENTS_H_
#define HIKYAKU_TESTS_SIM_CLIENTS_H_

#include <memory>
#include <string>
#include <vector>

#include "lib/net/task_group.h"
#include "tests/sim/books.h"
#include "tests/sim/nodes.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

class Clients {
 public:
  Clients(World& world, Books& books, std::vector<std::unique_ptr<FrontEnd>>& front_ends);
  ~Clients();

  // Sends `mails` within `time`, at random moments.
  void Start(int mails, absl::Duration time);

  // Mails that are still on their way to an answer.
  int open() const { return open_; }

 private:
  struct Letter;

  void Send(const std::shared_ptr<Letter>& letter);
  void OnAnswer(const std::shared_ptr<Letter>& letter, int attempt, absl::Status status);
  std::shared_ptr<Letter> Write();
  static Wish DrawWish(Random& random, Letter& letter);
  FrontEnd& Any() { return *front_ends_[world_.random.Below(front_ends_.size())]; }

  static awaitable<void> SendBySmtp(Clients* clients, std::shared_ptr<Letter> letter,
                                    std::unique_ptr<net::Stream> stream);

  World& world_;
  Books& books_;
  std::vector<std::unique_ptr<FrontEnd>>& front_ends_;
  net::TaskGroup group_;
  int count_ = 0;
  int open_ = 0;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_CLIENTS_H_
