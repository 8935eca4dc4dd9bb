// Watches end without holding up anybody else, over a real server on loopback.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/submission/mail_service.h"
#include "tests/unit/submission/fake_shard.h"

namespace hikyaku::submission {
namespace {

// More than gRPC has threads for callbacks: two for each processor.
constexpr int kWatches = 64;

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return condition();
}

class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    AssembleOptions options;
    options.hostname = "mail.example.jp";
    sender_ = std::make_unique<MailSender>(MailSender::Doors{&acceptor_, &policy_, &budget_, &Clock::System()},
                                           RequestLimits(), options);
    mail_ = std::make_unique<MailService>(sender_.get(), &cluster_, &gate_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(mail_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::MailService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  ~WatchTest() override {
    q0_.hold_watches = false;
    gate_.Close();
    EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  }

  FakeShard q0_{"q0"};
  Cluster cluster_{{&q0_}};
  ShardAcceptor acceptor_{&cluster_, &Clock::System()};
  LiteralPolicy policy_;
  MemoryBudget budget_{64 << 20};
  std::unique_ptr<MailSender> sender_;
  CallGate gate_;
  std::unique_ptr<MailService> mail_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::MailService::Stub> stub_;
};

// The end of a watch waits for a callback of gRPC's own. On one of gRPC's threads, all that stood behind it stood still:
// the answers of the shards, and that very callback.
TEST_F(WatchTest, EndsOfWatchesHoldUpNobody) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>>> watches;
  for (int i = 0; i < kWatches; ++i) {
    q0_.watched = false;
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.push_back(stub_->WatchEvents(contexts.back().get(), {}));
    ASSERT_TRUE(Eventually([&] { return q0_.watched.load(); }));
  }
  q0_.hold_watches = true;
  for (const auto& context : contexts) context->TryCancel();
  EXPECT_TRUE(Eventually([&] { return q0_.ending_watches == kWatches; })) << q0_.ending_watches;
  v1::GetMessageRequest request;
  request.set_message_id(MessageId::Generate(absl::Now()).text());
  v1::GetMessageResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  EXPECT_EQ(stub_->GetMessage(&context, request, &response).error_code(), grpc::NOT_FOUND);
}

}  // namespace
}  // namespace hikyaku::submission
