#include "lib/config/reload.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hikyaku::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(NeedRestart, SaysNothingWhenNothingChanged) {
  v1::Config config;
  config.mutable_limits()->set_recipients(7);
  EXPECT_THAT(NeedRestart(config, config), IsEmpty());
}

TEST(NeedRestart, TakesOverWhatCanBeReloaded) {
  v1::Config running, wanted;
  wanted.add_trusted_networks("192.0.2.0/24");
  wanted.mutable_queue()->mutable_lifetime()->set_seconds(60);
  wanted.mutable_queue()->set_domain_concurrency(3);
  wanted.mutable_delivery()->add_routes()->set_domain("*");
  wanted.mutable_delivery()->add_allow_ranges("10.0.0.0/8");
  wanted.mutable_log()->set_level(v1::Log::debug);
  wanted.mutable_dkim()->set_folder("/etc/hikyaku/dkim");
  EXPECT_THAT(NeedRestart(running, wanted), IsEmpty());
}

TEST(NeedRestart, NamesTheKeysThatWait) {
  v1::Config running, wanted;
  running.set_hostname("a.test");
  wanted.set_hostname("b.test");
  wanted.mutable_limits()->set_recipients(7);
  wanted.mutable_listeners()->add_smtp()->set_address("127.0.0.1:25");
  EXPECT_THAT(NeedRestart(running, wanted), ElementsAre("hostname", "listeners.smtp", "limits.recipients"));
}

}  // namespace
}  // namespace hikyaku::config
