#include "lib/config/defaults.h"

#include <gtest/gtest.h>

#include "lib/config/duration.h"

namespace hikyaku::config {
namespace {

v1::Config Defaults(Role role, v1::Config config = {}) {
  ApplyDefaults(config, role);
  return config;
}

TEST(Defaults, AreThoseOfTheComments) {
  const v1::Config config = Defaults(Role::kAll);
  EXPECT_EQ(config.limits().message_size().bytes(), 25u << 20);
  EXPECT_EQ(config.limits().recipients(), 1000u);
  EXPECT_EQ(config.limits().connections_per_client(), 100u);
  EXPECT_EQ(config.trusted_networks_size(), 2);
  EXPECT_EQ(ToDuration(config.smtp().idle_timeout()), absl::Minutes(5));
  EXPECT_EQ(ToDuration(config.dns().max_ttl()), absl::Hours(1));
  EXPECT_EQ(ToDuration(config.queue().lifetime()), absl::Hours(120));
  EXPECT_EQ(ToDuration(config.queue().retry().min()), absl::Minutes(5));
  EXPECT_EQ(config.queue().retry().jitter(), 0.2);
  EXPECT_EQ(config.queue().min_free_inodes(), 1000u);
  EXPECT_EQ(config.delivery().port(), 25u);
  EXPECT_EQ(ToDuration(config.delivery().timeouts().dot()), absl::Minutes(10));
  EXPECT_GE(config.io_threads(), 1u);
  EXPECT_EQ(ToDuration(config.reports().delay_after()), absl::Hours(4));
  EXPECT_EQ(config.reports().headers_only_over().bytes(), 50u << 10);
  v1::Config named;
  named.set_hostname("mail.example.jp");
  EXPECT_EQ(Defaults(Role::kAll, named).reports().from(), "MAILER-DAEMON@mail.example.jp");
  EXPECT_FALSE(Defaults(Role::kAll, named).reports().has_tls());
  named.mutable_reports()->mutable_tls()->set_from("tls@example.jp");
  EXPECT_EQ(Defaults(Role::kAll, named).reports().tls().organization(), "mail.example.jp");
  EXPECT_EQ(Defaults(Role::kAll, named).reports().tls().contact(), "tls@example.jp");
}

TEST(Defaults, OpenTheListenersOfTheRole) {
  const v1::Listeners all = Defaults(Role::kAll).listeners();
  EXPECT_EQ(all.grpc(0).address(), "127.0.0.1:7025");
  EXPECT_EQ(all.smtp(0).address(), "127.0.0.1:2525");
  EXPECT_EQ(all.http(0).address(), "127.0.0.1:8025");
  EXPECT_TRUE(all.internal().empty());
  const v1::Listeners queue = Defaults(Role::kQueue).listeners();
  EXPECT_TRUE(queue.grpc().empty());
  EXPECT_TRUE(queue.smtp().empty());
  EXPECT_EQ(queue.internal(0).address(), "127.0.0.1:7026");
  const v1::Listeners delivery = Defaults(Role::kDelivery).listeners();
  EXPECT_TRUE(delivery.grpc().empty());
  EXPECT_TRUE(delivery.internal().empty());
  EXPECT_FALSE(delivery.http().empty());
}

TEST(Defaults, NameTheShard) {
  EXPECT_EQ(Defaults(Role::kAll).queue().name(), "q0");
  EXPECT_EQ(Defaults(Role::kAll).queue().shards(0).name(), "q0");
  EXPECT_TRUE(Defaults(Role::kQueue).queue().shards().empty());
  v1::Config one;
  one.mutable_queue()->add_shards()->set_name("only");
  EXPECT_EQ(Defaults(Role::kQueue, one).queue().name(), "only");
  EXPECT_EQ(Defaults(Role::kDelivery, one).queue().name(), "");
  one.mutable_queue()->add_shards()->set_name("other");
  EXPECT_EQ(Defaults(Role::kQueue, one).queue().name(), "");
}

TEST(Defaults, KeepWhatIsSet) {
  v1::Config config;
  config.set_hostname("a.example");
  config.add_trusted_networks("10.0.0.0/8");
  config.mutable_listeners()->add_smtp()->set_address("127.0.0.1:25");
  config.mutable_limits()->set_connections_per_client(0);
  config.mutable_queue()->mutable_retry()->set_jitter(0);
  config.mutable_queue()->mutable_min_free_disk()->set_bytes(0);
  SetDuration(absl::Milliseconds(1500), config.mutable_queue()->mutable_lifetime());
  ApplyDefaults(config, Role::kAll);
  EXPECT_EQ(config.hostname(), "a.example");
  EXPECT_EQ(config.delivery().helo(), "a.example");
  EXPECT_EQ(config.trusted_networks_size(), 1);
  EXPECT_EQ(config.listeners().smtp_size(), 1);
  EXPECT_EQ(config.limits().connections_per_client(), 0u);
  EXPECT_EQ(config.queue().retry().jitter(), 0);
  EXPECT_EQ(config.queue().min_free_disk().bytes(), 0u);
  EXPECT_EQ(ToDuration(config.queue().lifetime()), absl::Milliseconds(1500));
}

TEST(Defaults, AppliedTwiceChangeNothing) {
  for (const Role role : {Role::kAll, Role::kSubmission, Role::kQueue, Role::kDelivery}) {
    const v1::Config once = Defaults(role);
    EXPECT_EQ(Defaults(role, once).DebugString(), once.DebugString()) << RoleName(role);
  }
}

}  // namespace
}  // namespace hikyaku::config
