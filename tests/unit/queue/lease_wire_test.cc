// The lease stream over gRPC: words that gather go together, and only to those who read that.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "hikyaku/v1/config.pb.h"
#include "services/common/grpc_server.h"
#include "services/common/internal_tls.h"
#include "services/queue/outbox.h"
#include "services/queue/queue_service.h"
#include "services/queue/remote_shard.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

using internal::v1::ShardMessage;
using internal::v1::WorkerMessage;

constexpr std::size_t kMaxMessage = 4 << 20;

WorkerMessage Word(std::uint32_t number) {
  WorkerMessage word;
  word.mutable_credit()->set_leases(number);
  return word;
}

TEST(Outbox, WritesOneByOneForWhoReadsOne) {
  Outbox<WorkerMessage> outbox;
  for (std::uint32_t i = 1; i <= 3; ++i) outbox.Add(Word(i));
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const WorkerMessage* next = outbox.Next();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->credit().leases(), i);
    EXPECT_EQ(next->more_size(), 0);
    EXPECT_EQ(outbox.Next(), nullptr) << "a write is under way";
    outbox.Written();
  }
  EXPECT_EQ(outbox.Next(), nullptr);
}

TEST(Outbox, JoinsWhatGatheredInItsOrder) {
  Outbox<WorkerMessage> outbox;
  outbox.Join();
  outbox.Add(Word(1));
  ASSERT_NE(outbox.Next(), nullptr);
  for (std::uint32_t i = 2; i <= 4; ++i) outbox.Add(Word(i));
  outbox.Written();
  const WorkerMessage* next = outbox.Next();
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->credit().leases(), 2u);
  ASSERT_EQ(next->more_size(), 2);
  EXPECT_EQ(next->more(0).credit().leases(), 3u);
  EXPECT_EQ(next->more(1).credit().leases(), 4u);
}

TEST(Outbox, BoundsOneMessage) {
  Outbox<ShardMessage> outbox;
  outbox.Join();
  for (int i = 0; i < 3; ++i) {
    ShardMessage word;
    word.mutable_lease()->set_body(std::string(Outbox<ShardMessage>::kBytes / 2, 'x'));
    outbox.Add(std::move(word));
  }
  for (int i = 0; i < 3; ++i) {
    const ShardMessage* next = outbox.Next();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->more_size(), 0) << "two would be larger than the bound";
    outbox.Written();
  }
  for (int i = 0; i <= Outbox<ShardMessage>::kWords; ++i) {
    ShardMessage word;
    word.set_recorded(i);
    outbox.Add(std::move(word));
  }
  EXPECT_EQ(outbox.Next()->more_size() + 1, Outbox<ShardMessage>::kWords);
  outbox.Written();
  EXPECT_EQ(outbox.Next()->more_size(), 0);
}

// The lease stream as it is on the wire.
struct RawStream {
  explicit RawStream(const std::string& address)
      : stub(internal::v1::QueueService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
        context(std::make_unique<grpc::ClientContext>()),
        stream(stub->Lease(context.get())) {}

  const std::unique_ptr<internal::v1::QueueService::Stub> stub;
  const std::unique_ptr<grpc::ClientContext> context;
  const std::unique_ptr<grpc::ClientReaderWriter<WorkerMessage, ShardMessage>> stream;
};

class LeaseWire : public ShardTest {
 protected:
  void SetUp() override {
    Open();
    service_ = std::make_unique<QueueService>(*shard_);
    GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    options.max_message = kMaxMessage;
    options.for_our_own = true;
    auto server = GrpcServer::Start(options, {service_.get()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = absl::StrCat("127.0.0.1:", server_->ports()[0]);
  }
  void TearDown() override {
    server_ = nullptr;
    service_ = nullptr;
  }

  std::unique_ptr<QueueService> service_;
  std::unique_ptr<GrpcServer> server_;
  std::string address_;
};

TEST_F(LeaseWire, LeasesAndVerdictsOfManyMailsAllArrive) {
  RemoteShard remote("q0", address_, InternalTls(v1::Config()), kMaxMessage);
  constexpr int kMails = 200;
  Worker worker(remote, 50);
  for (int i = 0; i < kMails; ++i) Accept(Mail({absl::StrCat("r@d", i % 7, ".test")}));
  for (int i = 0; i < kMails; ++i) {
    internal::v1::Verdict verdict;
    verdict.set_lease(worker.Next().id);
    *verdict.add_outcomes() = Delivered();
    worker.stream().ReportAndGrant(std::move(verdict), 1);
  }
  EXPECT_TRUE(Eventually([&] { return worker.recorded() == kMails; })) << worker.recorded();
  EXPECT_EQ(worker.seen(), kMails);
  worker.Close();
  ExpectSound();
}

TEST_F(LeaseWire, WhoReadsOneWordAtATimeGetsOneAtATime) {
  constexpr int kMails = 20;
  for (int i = 0; i < kMails; ++i) Accept(Mail({"r@ok.test"}));
  const RawStream raw(address_);
  WorkerMessage hello;
  hello.mutable_hello()->set_worker("of an older version");
  raw.stream->Write(hello);
  ShardMessage message;
  ASSERT_TRUE(raw.stream->Read(&message));
  EXPECT_TRUE(message.welcome().reads_more());
  raw.stream->Write(Word(kMails));
  for (int i = 0; i < kMails; ++i) {
    ASSERT_TRUE(raw.stream->Read(&message));
    EXPECT_TRUE(message.has_lease());
    EXPECT_EQ(message.more_size(), 0);
  }
  raw.context->TryCancel();
}

TEST_F(LeaseWire, WhoReadsSeveralGetsThoseOfOneGrantTogether) {
  constexpr int kMails = 20;
  for (int i = 0; i < kMails; ++i) Accept(Mail({"r@ok.test"}));
  const RawStream raw(address_);
  WorkerMessage message;
  message.mutable_hello()->set_worker("w");
  message.mutable_hello()->set_reads_more(true);
  *message.add_more() = Word(kMails - 5);  // Also in the other direction.
  *message.add_more() = Word(5);
  raw.stream->Write(message);
  ShardMessage read;
  ASSERT_TRUE(raw.stream->Read(&read));
  int leases = read.more_size();  // What was there when the welcome went.
  int messages = 0;
  for (; leases < kMails; ++messages) {
    ASSERT_TRUE(raw.stream->Read(&read));
    leases += read.has_lease() ? 1 : 0;
    leases += read.more_size();
  }
  EXPECT_EQ(leases, kMails);
  EXPECT_LT(messages, kMails / 2);
  raw.context->TryCancel();
}

}  // namespace
}  // namespace hikyaku::queue
