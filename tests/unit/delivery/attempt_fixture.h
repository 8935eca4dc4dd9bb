// What tests of Attempt share: a lease that can be lost, and a domain with two hosts in a network without sockets.
#ifndef HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_FIXTURE_H_
#define HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/delivery/attempt.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/net/run_virtual.h"

namespace hikyaku::delivery {

using outcome::Kind;
using outcome::Outcome;
using Strings = std::vector<std::string>;

class FakeGuard : public LeaseGuard {
 public:
  bool Begin() override { return begun = alive_; }
  bool alive() const override { return alive_; }
  void Lose() { alive_ = false; }

  bool begun = false;

 private:
  bool alive_ = true;
};

// d.test has two MX hosts: mx1 (11.0.0.1) before mx2 (11.0.0.2).
class AttemptTest : public testing::Test {
 protected:
  AttemptTest() {
    options_.helo = "us.test";
    options_.timeouts.greeting = options_.timeouts.hello = options_.timeouts.mail = absl::Milliseconds(50);
    options_.timeouts.rcpt = options_.timeouts.data = options_.timeouts.dot = absl::Milliseconds(50);
    resolver_.SetMx("d.test", {{10, "mx1.test"}, {20, "mx2.test"}});
    resolver_.SetAddresses("mx1.test", {"11.0.0.1"});
    resolver_.SetAddresses("mx2.test", {"11.0.0.2"});
  }

  ~AttemptTest() override {
    quits_.Cancel();
    dialer_->Cancel();
    while (dialer_->connections() + quits_.size() > 0) Turn();
  }

  void Turn() { net::Turn(loop_); }

  Attempt::End Run(const queue::Lease& lease) {
    auto network = std::make_shared<Network>();
    network->dialer = dialer_;
    network->routes = routes_;
    network->sources = std::make_shared<const Sources>(sources_);
    network->ledger = ledger_;
    Attempt attempt({options_, network, resolver_, pool_, clock_}, lease, guard_);
    const Attempt::End end = net::RunTask(loop_, attempt.Run());
    outcomes_ = attempt.outcomes();
    return end;
  }

  // The outcomes as "550 5.1.1 text"; the remote host is cut off.
  Strings Verdicts(const queue::Lease& lease) {
    EXPECT_EQ(Run(lease), Attempt::End::kJudged);
    Strings verdicts;
    for (Outcome outcome : outcomes_) {
      outcome.remote_host.clear();
      verdicts.push_back(absl::StrCat(std::string(outcome::KindName(outcome.kind)), " ", outcome.ToString()));
    }
    return verdicts;
  }

  // Of one recipient, b@d.test.
  Outcome One() {
    EXPECT_EQ(Run(MakeLease("d.test", {"b@d.test"})), Attempt::End::kJudged);
    EXPECT_EQ(outcomes_.size(), 1u);
    return outcomes_.at(0);
  }

  std::shared_ptr<FakePeer> Mx1(Strings extensions = {}) { return dialer_->Listen("11.0.0.1:25", extensions); }
  std::shared_ptr<FakePeer> Mx2(Strings extensions = {}) { return dialer_->Listen("11.0.0.2:25", extensions); }

  net::VirtualLoop loop_;
  AttemptOptions options_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>();
  FakeClock clock_;
  FakeGuard guard_;
  RouteTable routes_{25};
  Sources sources_;
  std::shared_ptr<WarmUpLedger> ledger_ = std::make_shared<WarmUpLedger>();
  net::TaskGroup quits_;
  ConnectionPool pool_{PoolOptions(), clock_, quits_, loop_.executor()};
  std::vector<Outcome> outcomes_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_FIXTURE_H_
