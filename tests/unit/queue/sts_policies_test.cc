// MTA-STS policies in the shard that owns the domain: in this process and over gRPC.
#include "lib/queue/sts_policies.h"

#include <memory>
#include <string>

#include "hikyaku/v1/config.pb.h"
#include "services/common/grpc_server.h"
#include "services/common/internal_tls.h"
#include "services/queue/queue_service.h"
#include "services/queue/remote_shard.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

using internal::v1::PutStsPolicyResponse;
using storage::v1::StsPolicy;

class StsPolicies : public ShardTest {
 protected:
  void SetUp() override { Open(); }

  StsPolicy Policy(const std::string& domain, absl::Duration life = absl::Hours(1), const std::string& id = "1") {
    StsPolicy policy;
    policy.set_domain(domain);
    policy.set_id(id);
    policy.set_text("version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 3600\n");
    policy.set_fetched_micros(Now());
    policy.set_expire_micros(Now() + absl::ToInt64Microseconds(life));
    return policy;
  }

  absl::Status Put(Shard& shard, const StsPolicy& policy) {
    return Await<PutStsPolicyResponse>(
               [&](Done<PutStsPolicyResponse> done) { shard.PutStsPolicy(policy, std::move(done)); })
        .status();
  }
  absl::Status Put(const StsPolicy& policy) { return Put(*shard_, policy); }

  // Its id; "none" for kNotFound.
  std::string Get(Shard& shard, const std::string& domain) {
    internal::v1::GetStsPolicyRequest request;
    request.set_domain(domain);
    const auto policy = Await<StsPolicy>([&](Done<StsPolicy> done) { shard.GetStsPolicy(request, std::move(done)); });
    if (policy.ok()) return policy->id();
    return absl::IsNotFound(policy.status()) ? "none" : std::string(policy.status().ToString());
  }
  std::string Get(const std::string& domain) { return Get(*shard_, domain); }
};

TEST_F(StsPolicies, AreKeptOverARestart) {
  EXPECT_EQ(Get("d.test"), "none");
  ASSERT_TRUE(Put(Policy("d.test")).ok());
  EXPECT_EQ(Get("d.test"), "1");
  Reopen();
  EXPECT_EQ(Get("d.test"), "1");
  EXPECT_EQ(Get("other.test"), "none");
  ExpectSound();
}

TEST_F(StsPolicies, ANewOneReplacesTheOld) {
  ASSERT_TRUE(Put(Policy("d.test")).ok());
  ASSERT_TRUE(Put(Policy("d.test", absl::Hours(2), "2")).ok());
  EXPECT_EQ(Get("d.test"), "2");
}

TEST_F(StsPolicies, EndWithTheirTime) {
  ASSERT_TRUE(Put(Policy("d.test")).ok());
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Get("d.test"), "none");
  ASSERT_TRUE(Put(Policy("d.test", absl::Hours(1), "2")).ok());
  EXPECT_EQ(Get("d.test"), "2");
}

// Looked at by its key alone: what is over is gone from the disk, though nobody asked for it.
TEST_F(StsPolicies, OneThatIsPutTakesOthersAwayThatAreOver) {
  ASSERT_TRUE(Put(Policy("old.test")).ok());
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(Put(Policy("a.test")).ok());
  clock_.Advance(-absl::Hours(2));
  EXPECT_EQ(Get("old.test"), "none");
}

TEST_F(StsPolicies, WhatNoWorkerMakesIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(Put(Policy(""))));
  EXPECT_TRUE(absl::IsInvalidArgument(Put(Policy(std::string(256, 'a')))));
  EXPECT_TRUE(absl::IsInvalidArgument(Put(Policy(std::string("a\0b", 3)))));
  EXPECT_TRUE(absl::IsInvalidArgument(Put(Policy("d.test", absl::ZeroDuration()))));
  StsPolicy large = Policy("d.test");
  large.set_text(std::string(kMaxStsText + 1, 'a'));
  EXPECT_TRUE(absl::IsInvalidArgument(Put(large)));
  EXPECT_TRUE(absl::IsInvalidArgument(Put(Policy("d.test", absl::Hours(1), std::string(33, 'a')))));
}

TEST_F(StsPolicies, GoOverTheWire) {
  QueueService service(*shard_);
  GrpcServerOptions options;
  options.addresses = {"127.0.0.1:0"};
  options.max_message = 1 << 20;
  options.for_our_own = true;
  auto server = GrpcServer::Start(options, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  {
    RemoteShard remote("q0", absl::StrCat("127.0.0.1:", (*server)->ports()[0]), InternalTls(v1::Config()), 1 << 20);
    EXPECT_EQ(Get(remote, "d.test"), "none");
    EXPECT_TRUE(Put(remote, Policy("d.test")).ok());
    EXPECT_EQ(Get(remote, "d.test"), "1");
    EXPECT_TRUE(absl::IsInvalidArgument(Put(remote, Policy(""))));
  }
  *server = nullptr;
  EXPECT_EQ(Get("d.test"), "1");
}

}  // namespace
}  // namespace hikyaku::queue
