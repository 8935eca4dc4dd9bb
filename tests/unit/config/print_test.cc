#include "lib/config/print.h"

#include <gtest/gtest.h>

#include "lib/config/defaults.h"
#include "lib/config/yaml_loader.h"

namespace hikyaku::config {
namespace {

// Prints, loads, and expects the same configuration.
void ExpectRoundTrip(const v1::Config& config) {
  const std::string text = PrintConfig(config);
  const absl::StatusOr<LoadedConfig> loaded = ParseConfig(text, "printed");
  ASSERT_TRUE(loaded.ok()) << loaded.status() << "\n" << text;
  EXPECT_EQ(loaded->config.DebugString(), config.DebugString()) << text;
}

TEST(PrintConfig, LoadsAgainAsTheSame) {
  for (const Role role : {Role::kAll, Role::kSubmission, Role::kQueue, Role::kDelivery}) {
    v1::Config config;
    ApplyDefaults(config, role);
    ExpectRoundTrip(config);
  }
  ExpectRoundTrip(v1::Config());
}

TEST(PrintConfig, KeepsWhatYamlCouldMistake) {
  v1::Config config;
  config.set_hostname("no");
  config.set_data_dir("/a b: #c\"\\ü");
  config.add_trusted_networks("::1/128");
  config.add_trusted_networks("null");
  config.mutable_listeners()->add_smtp()->set_auth(v1::SmtpListener::required);
  config.mutable_listeners()->mutable_smtp(0)->set_proxy_protocol(true);
  config.mutable_limits()->set_connections_per_client(0);
  config.mutable_limits()->mutable_message_size()->set_bytes(1025);
  config.mutable_limits()->mutable_memory()->set_bytes(0);
  config.mutable_queue()->mutable_lifetime()->set_seconds(90'061);
  config.mutable_queue()->mutable_retry()->mutable_min()->set_nanos(1'000'000);
  config.mutable_queue()->mutable_retry()->set_jitter(1.0 / 3);
  config.mutable_queue()->set_min_free_inodes(~0ULL);
  config.mutable_log()->set_level(v1::Log::error);
  ExpectRoundTrip(config);
}

TEST(PrintConfig, ReadsLikeAHandWrittenFile) {
  v1::Config config;
  config.set_hostname("mail.example.jp");
  config.mutable_queue()->mutable_retry()->set_jitter(0.2);
  config.mutable_limits()->mutable_message_size()->set_bytes(25 << 20);
  config.mutable_listeners()->add_smtp()->set_address("127.0.0.1:25");
  EXPECT_EQ(PrintConfig(config),
            "hostname: \"mail.example.jp\"\n"
            "listeners:\n"
            "  smtp:\n"
            "    - address: \"127.0.0.1:25\"\n"
            "limits:\n"
            "  message_size: 25MiB\n"
            "queue:\n"
            "  retry:\n"
            "    jitter: 0.2\n");
}

}  // namespace
}  // namespace hikyaku::config
