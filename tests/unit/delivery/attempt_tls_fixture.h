// What tests of TLS in an attempt share: one host, whose identity a test chooses.
#ifndef HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_TLS_FIXTURE_H_
#define HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_TLS_FIXTURE_H_

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/delivery/attempt.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/net/run.h"
#include "tests/unit/tls/identities.h"

namespace hikyaku::delivery {

using outcome::Kind;
using outcome::Outcome;
using Strings = std::vector<std::string>;

class AlwaysHeld : public LeaseGuard {
 public:
  bool Begin() override { return true; }
  bool alive() const override { return true; }
};

// d.test and other.test have one MX, mx.test.
class AttemptTlsTest : public testing::Test {
 protected:
  AttemptTlsTest() {
    options_.helo = "us.test";
    options_.timeouts.tls = absl::Milliseconds(200);
    for (const char* domain : {"d.test", "other.test"}) resolver_.SetMx(domain, {{10, "mx.test"}});
    resolver_.SetAddresses("mx.test", {"11.0.0.1"});
    network_->dialer = dialer_;
    network_->tls.context = tls::Client();
    network_->tls.level = TlsLevel::kOpportunistic;
  }

  ~AttemptTlsTest() override { EndAll(); }

  // Everything that still runs, to its end. A fixture with more that its tasks use calls this first in its destructor.
  void EndAll() {
    quits_.Cancel();
    dialer_->Cancel();
    while (dialer_->connections() + quits_.size() > 0) {
      context_.restart();
      context_.run_one();
    }
  }

  virtual AttemptEnv Env() { return {options_, std::make_shared<const Network>(*network_), resolver_, pool_, clock_}; }

  std::shared_ptr<FakePeer> Mx(const tls::Identity& identity = tls::GoodIdentity(),
                               const std::string& at = "11.0.0.1:25") {
    auto mx = dialer_->Listen(at, {"STARTTLS"});
    mx->SpeakTls(tls::Server(identity));
    return mx;
  }

  std::shared_ptr<FakePeer> MxWithoutTls() { return dialer_->Listen("11.0.0.1:25"); }

  Outcome Deliver(const std::string& domain = "d.test", absl::Duration waited = absl::ZeroDuration()) {
    queue::Lease lease = MakeLease(domain, {"b@" + domain});
    if (waited > absl::ZeroDuration()) {
      lease.delivery.set_attempts(1);
      lease.delivery.set_first_attempt_micros(absl::ToUnixMicros(clock_.Now() - waited));
    }
    return Deliver(lease);
  }

  Outcome Deliver(const queue::Lease& lease) {
    Attempt attempt(Env(), lease, guard_);
    EXPECT_EQ(net::RunTask(context_, attempt.Run()), Attempt::End::kJudged);
    sessions_ = attempt.TakeTlsSessions();
    return attempt.outcomes().at(0);
  }

  std::vector<storage::v1::TlsSession> sessions_;  // Of the last attempt, for reports.
  boost::asio::io_context context_;
  AttemptOptions options_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>();
  std::shared_ptr<Network> network_ = std::make_shared<Network>();
  FakeClock clock_;
  AlwaysHeld guard_;
  net::TaskGroup quits_;
  ConnectionPool pool_{PoolOptions(), clock_, quits_, context_.get_executor()};
};

inline const tls::Identity& SelfSigned() {
  static const auto* const identity = new tls::Identity(tls::MakeIdentity("mx", {"mx.test"}, nullptr));
  return *identity;
}

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_TESTS_UNIT_DELIVERY_ATTEMPT_TLS_FIXTURE_H_
