#include "services/delivery/settings.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

struct DnsCase {
  const char* name;
  std::vector<std::string> servers;
  int seconds;
  absl::Duration first_try;
};

class DnsTimeout : public testing::TestWithParam<DnsCase> {};

// c-ares asks each server in each of its three rounds, and waits 1, 2 and 4 times as long.
TEST_P(DnsTimeout, IsOfAllTriesTogether) {
  v1::Config config;
  for (const std::string& server : GetParam().servers) config.mutable_dns()->add_servers(server);
  config.mutable_dns()->mutable_timeout()->set_seconds(GetParam().seconds);
  const auto options = ResolverOptionsFrom(config);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->server.tries, 3);
  EXPECT_EQ(options->server.timeout, GetParam().first_try);
}

INSTANTIATE_TEST_SUITE_P(Servers, DnsTimeout,
                         testing::ValuesIn<DnsCase>({
                             {"One", {"127.0.0.1:53"}, 7, absl::Seconds(1)},
                             {"Two", {"127.0.0.1:53", "[::1]:53"}, 28, absl::Seconds(2)},
                             {"Three", {"127.0.0.1:53", "127.0.0.2:53", "127.0.0.3:53"}, 21, absl::Seconds(1)},
                             {"NeverTooShort", {"127.0.0.1:53", "127.0.0.2:53"}, 1, absl::Milliseconds(100)},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::delivery
