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

TEST(DkimOptions, NamesBecomeALabelsAndTheFallbackSignsForItself) {
  v1::Config config;
  config.mutable_dkim()->set_folder("/keys");
  v1::DkimDomain* row = config.mutable_dkim()->add_domains();
  row->set_domain("B\u00fccher.test");
  row->add_selectors("K1");
  row = config.mutable_dkim()->add_domains();
  row->set_domain("*");
  row->set_sign_as("Relay.test");
  row->add_selectors("x");
  const DkimOptions options = DkimOptionsFrom(config);
  EXPECT_EQ(options.folder, "/keys");
  ASSERT_EQ(options.rows.size(), 2u);
  EXPECT_EQ(options.rows[0].from, "xn--bcher-kva.test");
  EXPECT_EQ(options.rows[0].domain, "xn--bcher-kva.test");
  EXPECT_EQ(options.rows[0].selectors, std::vector<std::string>{"k1"});
  EXPECT_EQ(options.rows[1].from, "*");
  EXPECT_EQ(options.rows[1].domain, "relay.test");
  EXPECT_TRUE(DkimOptionsFrom(v1::Config()).rows.empty());
}

}  // namespace
}  // namespace hikyaku::delivery
