// The gRPC services over a real server on loopback, with shards in memory.
#include "services/submission/mail_service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "services/submission/admin_service.h"
#include "services/submission/event_cursor.h"
#include "services/submission/grpc_status.h"
#include "tests/unit/submission/fake_shard.h"

namespace hikyaku::submission {
namespace {

v1::SendMailRequest Good() {
  v1::SendMailRequest request;
  v1::Content& content = *request.mutable_content();
  content.mutable_from()->set_address("alice@ours.test");
  content.add_to()->set_address("r@ok.test");
  content.set_text("Hi\n");
  return request;
}

template <typename Condition>
void WaitFor(Condition condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(condition());
}

// Between gRPC and the service: while it holds, messages that have arrived wait here.
class Sluice {
 public:
  void Hold() { holding_ = true; }
  bool holds() {
    std::lock_guard lock(mutex_);
    return !held_.empty();
  }
  void Release() {
    std::vector<Batch*> held;
    {
      std::lock_guard lock(mutex_);
      holding_ = false;
      held.swap(held_);
    }
    for (Batch* batch : held) batch->Proceed();
  }

  void Plug(grpc::ServerBuilder* builder) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(std::make_unique<Factory>(this));
    builder->experimental().SetInterceptorCreators(std::move(creators));
  }

 private:
  using Batch = grpc::experimental::InterceptorBatchMethods;

  class Interceptor : public grpc::experimental::Interceptor {
   public:
    explicit Interceptor(Sluice* sluice) : sluice_(sluice) {}
    void Intercept(Batch* batch) override {
      if (batch->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::POST_RECV_MESSAGE) &&
          sluice_->Keep(batch)) {
        return;
      }
      batch->Proceed();
    }

   private:
    Sluice* const sluice_;
  };

  class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
   public:
    explicit Factory(Sluice* sluice) : sluice_(sluice) {}
    grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo*) override {
      return new Interceptor(sluice_);
    }

   private:
    Sluice* const sluice_;
  };

  bool Keep(Batch* batch) {
    std::lock_guard lock(mutex_);
    if (holding_) held_.push_back(batch);
    return holding_;
  }

  std::mutex mutex_;
  std::atomic<bool> holding_{false};
  std::vector<Batch*> held_;
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    AssembleOptions options;
    options.hostname = "mail.example.jp";
    sender_ = std::make_unique<MailSender>(MailSender::Doors{&shard_acceptor_, &policy_, &budget_, &Clock::System()},
                                           RequestLimits(), options);
    mail_ = std::make_unique<MailService>(sender_.get(), &cluster_, &gate_);
    admin_ = std::make_unique<AdminService>(&cluster_, &gate_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(mail_.get());
    builder.RegisterService(admin_.get());
    sluice_.Plug(&builder);
    server_ = builder.BuildAndStart();
    const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
    stub_ = v1::MailService::NewStub(channel);
    admin_stub_ = v1::AdminService::NewStub(channel);
  }

  ~ServiceTest() override {
    gate_.Close();
    EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  }

  grpc::Status Send(const v1::SendMailRequest& request, v1::SendMailResponse* response) {
    grpc::ClientContext context;
    return stub_->SendMail(&context, request, response);
  }

  std::size_t Written() { return q0_.written.size() + q1_.written.size(); }

  Sluice sluice_;
  FakeShard q0_{"q0"};
  FakeShard q1_{"q1"};
  Cluster cluster_{{&q0_, &q1_}};
  ShardAcceptor shard_acceptor_{&cluster_, &Clock::System()};
  LiteralPolicy policy_;
  MemoryBudget budget_{64 << 20};
  std::unique_ptr<MailSender> sender_;
  CallGate gate_;
  std::unique_ptr<MailService> mail_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::MailService::Stub> stub_;
  std::unique_ptr<v1::AdminService::Stub> admin_stub_;
};

TEST_F(ServiceTest, SendMailThenGetMessage) {
  v1::SendMailResponse sent;
  ASSERT_TRUE(Send(Good(), &sent).ok());
  for (const std::string& id : {sent.message_id(), std::string("bad")}) {
    grpc::ClientContext context;
    v1::GetMessageRequest request;
    request.set_message_id(id);
    v1::GetMessageResponse response;
    const grpc::Status status = stub_->GetMessage(&context, request, &response);
    EXPECT_EQ(status.error_code(), id == "bad" ? grpc::INVALID_ARGUMENT : grpc::OK);
    if (status.ok()) {
      EXPECT_EQ(response.deliveries(0).domain(), "ok.test");
    }
  }
}

TEST_F(ServiceTest, GetMessageTellsUnknownFromUnreachable) {
  v1::GetMessageRequest request;
  request.set_message_id(MessageId::Generate(absl::Now()).text());
  v1::GetMessageResponse response;
  {
    grpc::ClientContext context;
    EXPECT_EQ(stub_->GetMessage(&context, request, &response).error_code(), grpc::NOT_FOUND);
  }
  q1_.FailWith(absl::UnavailableError("down"));
  grpc::ClientContext context;
  EXPECT_EQ(stub_->GetMessage(&context, request, &response).error_code(), grpc::UNAVAILABLE);
}

TEST_F(ServiceTest, BadRequestNamesItsFields) {
  v1::SendMailRequest request = Good();
  request.mutable_content()->mutable_to(0)->set_address("v@ok.test>\r\nRCPT TO:<w@evil.test");
  v1::SendMailResponse response;
  const grpc::Status status = Send(request, &response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::INVALID_ARGUMENT);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "content.to[0].address");
}

TEST_F(ServiceTest, FullDiskHasARetryTime) {
  q0_.FailWith(absl::ResourceExhaustedError("disk"));
  q1_.FailWith(absl::ResourceExhaustedError("disk"));
  v1::SendMailResponse response;
  const grpc::Status status = Send(Good(), &response);
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_GT(retry.retry_delay().seconds(), 0);
}

TEST_F(ServiceTest, UnbuiltMethodsSaySo) {
  grpc::ClientContext context;
  v1::ListMessagesResponse response;
  const grpc::Status status = stub_->ListMessages(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "ListMessages is not built yet");
}

TEST_F(ServiceTest, StreamAnswersEveryItem) {
  grpc::ClientContext context;
  auto stream = stub_->SendMailStream(&context);
  std::thread writer([&stream] {
    for (int i = 0; i < 300; ++i) {
      v1::SendMailStreamRequest request;
      request.set_tag(i);
      *request.mutable_request() = Good();
      if (i % 3 == 0) request.mutable_request()->mutable_content()->clear_to();
      stream->Write(request);
    }
    stream->WritesDone();
  });
  std::map<std::uint64_t, bool> accepted;
  v1::SendMailStreamResponse response;
  while (stream->Read(&response)) {
    accepted[response.tag()] = response.has_response();
    if (response.has_error()) {
      EXPECT_EQ(response.error().code(), grpc::INVALID_ARGUMENT);
      EXPECT_EQ(response.error().fields(0).field(), "content.to");
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(accepted.size(), 300u);
  for (const auto& [tag, ok] : accepted) EXPECT_EQ(ok, tag % 3 != 0);
  EXPECT_EQ(q0_.written.size() + q1_.written.size(), 200u);
}

TEST_F(ServiceTest, StopEndsStreamsWithUnavailable) {
  grpc::ClientContext send_context;
  auto send = stub_->SendMailStream(&send_context);
  v1::SendMailStreamRequest request;
  *request.mutable_request() = Good();
  send->Write(request);
  v1::SendMailStreamResponse response;
  ASSERT_TRUE(send->Read(&response));
  grpc::ClientContext watch_context;
  auto watch = stub_->WatchEvents(&watch_context, {});
  WaitFor([this] { return q0_.watched && q1_.watched; });
  gate_.Close();
  EXPECT_FALSE(send->Read(&response));
  EXPECT_EQ(send->Finish().error_code(), grpc::UNAVAILABLE);
  v1::WatchEventsResponse event;
  EXPECT_FALSE(watch->Read(&event));
  EXPECT_EQ(watch->Finish().error_code(), grpc::UNAVAILABLE);
  v1::SendMailResponse unary;
  EXPECT_EQ(Send(Good(), &unary).error_code(), grpc::UNAVAILABLE);
}

TEST_F(ServiceTest, WatchMergesShardsAndGoesOnFromACursor) {
  v1::Event event;
  event.set_type(v1::Event::TYPE_ACCEPTED);
  event.set_tenant("default");
  q0_.Emit(event);  // Before the watch.
  std::string cursor;
  {
    grpc::ClientContext context;
    auto watch = stub_->WatchEvents(&context, {});
    WaitFor([this] { return q0_.watched && q1_.watched; });
    q1_.Emit(event);
    v1::WatchEventsResponse response;
    ASSERT_TRUE(watch->Read(&response));
    EXPECT_EQ(response.event().shard(), "q1");
    cursor = response.cursor();
    EXPECT_EQ(cursor, "q0=1,q1=1");
    context.TryCancel();
    EXPECT_FALSE(watch->Read(&response));
  }
  event.set_type(v1::Event::TYPE_DELIVERED);
  q0_.Emit(event);
  event.set_tenant("other");
  q0_.Emit(event);
  v1::WatchEventsRequest request;
  request.set_cursor(cursor);
  request.set_tenant("other");
  request.add_types(v1::Event::TYPE_DELIVERED);
  grpc::ClientContext context;
  auto watch = stub_->WatchEvents(&context, request);
  v1::WatchEventsResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.event().sequence(), 3u);
  EXPECT_EQ(response.cursor(), "q0=3,q1=1");
  context.TryCancel();
}

TEST_F(ServiceTest, WatchRefusesABadCursor) {
  v1::WatchEventsRequest request;
  request.set_cursor("q0=x");
  grpc::ClientContext context;
  auto watch = stub_->WatchEvents(&context, request);
  v1::WatchEventsResponse response;
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ServiceTest, AdminAsksAllShards) {
  v1::FlushResponse flushed;
  q1_.FailWith(absl::UnavailableError("down"));
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin_stub_->Flush(&context, {}, &flushed).ok());
    EXPECT_EQ(flushed.missing_shards(0), "q1");
  }
  q0_.FailWith(absl::UnavailableError("down"));
  grpc::ClientContext context;
  EXPECT_EQ(admin_stub_->Flush(&context, {}, &flushed).error_code(), grpc::UNAVAILABLE);
}

TEST_F(ServiceTest, AdminNormalisesDomains) {
  v1::SuspendRequest request;
  request.set_domain("B\u00dcCHER.test");
  v1::SuspendResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin_stub_->Suspend(&context, request, &response).ok());
    EXPECT_EQ(q0_.suspended, "xn--bcher-kva.test");
    EXPECT_EQ(q1_.suspended, q0_.suspended);
  }
  request.clear_domain();
  grpc::ClientContext context;
  EXPECT_EQ(admin_stub_->Suspend(&context, request, &response).error_code(), grpc::INVALID_ARGUMENT);
}

// A call that is running when the server stops is answered; only then is the gate empty.
TEST_F(ServiceTest, RunningCallIsAnsweredAtStop) {
  q0_.Hold();
  q1_.Hold();
  grpc::Status status;
  std::thread client([this, &status] {
    v1::SendMailResponse response;
    status = Send(Good(), &response);
  });
  WaitFor([this] { return q0_.holds_answers() || q1_.holds_answers(); });
  gate_.Close();
  EXPECT_FALSE(gate_.WaitUntilEmpty(absl::Milliseconds(50)));
  q0_.Release();
  q1_.Release();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
  client.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// Clients that read nothing do not hold up a stop.
TEST_F(ServiceTest, StopDoesNotWaitForClientsThatDoNotRead) {
  grpc::ClientContext watch_context;
  auto watch = stub_->WatchEvents(&watch_context, {});
  WaitFor([this] { return q0_.watched && q1_.watched; });
  v1::Event event;
  event.set_type(v1::Event::TYPE_ACCEPTED);
  event.set_tenant(std::string(64 << 10, 't'));
  for (int i = 0; i < 200; ++i) q0_.Emit(event);
  grpc::ClientContext send_context;
  auto send = stub_->SendMailStream(&send_context);
  v1::SendMailStreamRequest request;
  *request.mutable_request() = Good();
  const std::string recipient = std::string(60, 'r') + "@ok.test";  // Comes back in the answer.
  for (int i = 0; i < 900; ++i) request.mutable_request()->mutable_content()->add_bcc()->set_address(recipient);
  std::thread writer([&] {
    while (send->Write(request)) continue;  // Until flow control holds it, and the stop ends it.
  });
  std::size_t seen = 0;
  do {
    seen = Written();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  } while (seen == 0 || Written() != seen);

  gate_.Close();
  const absl::Time start = absl::Now();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(20)));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  send_context.TryCancel();
  watch_context.TryCancel();
  writer.join();
}

// The server was busy until nobody waited any more: nothing is queued that the client holds for lost.
TEST_F(ServiceTest, CallAfterItsDeadlineQueuesNothing) {
  sluice_.Hold();
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    v1::SendMailResponse response;
    status = stub_->SendMail(&context, Good(), &response);
  });
  WaitFor([this] { return sluice_.holds(); });
  client.join();
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // The server's clock for it began later.
  sluice_.Release();
  gate_.Close();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
  EXPECT_EQ(Written(), 0u);
}

TEST_F(ServiceTest, MessageOfACancelledStreamIsNotQueued) {
  grpc::ClientContext context;
  auto stream = stub_->SendMailStream(&context);
  sluice_.Hold();
  v1::SendMailStreamRequest request;
  *request.mutable_request() = Good();
  stream->Write(request);
  WaitFor([this] { return sluice_.holds(); });
  context.TryCancel();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // The server learns of it.
  sluice_.Release();
  gate_.Close();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
  EXPECT_EQ(Written(), 0u);
}

// A message that gRPC had read, but not handed over, when the stream ended: it is dropped, as its answer would be.
TEST_F(ServiceTest, MessageThatMeetsTheStopIsDropped) {
  q0_.Hold();
  q1_.Hold();
  grpc::ClientContext context;
  auto stream = stub_->SendMailStream(&context);
  sluice_.Hold();
  v1::SendMailStreamRequest request;
  *request.mutable_request() = Good();
  stream->Write(request);
  WaitFor([this] { return sluice_.holds(); });
  gate_.Close();
  v1::SendMailStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::UNAVAILABLE);
  sluice_.Release();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
  q0_.Release();
  q1_.Release();
  EXPECT_EQ(Written(), 0u);
}

// The client hangs up while its mail is on the way: the mail stays, nothing breaks.
TEST_F(ServiceTest, ClientThatLeavesALivingStream) {
  q0_.Hold();
  q1_.Hold();
  {
    grpc::ClientContext context;
    auto stream = stub_->SendMailStream(&context);
    v1::SendMailStreamRequest request;
    *request.mutable_request() = Good();
    stream->Write(request);
    WaitFor([this] { return q0_.holds_answers() || q1_.holds_answers(); });
    context.TryCancel();
    v1::SendMailStreamResponse response;
    EXPECT_FALSE(stream->Read(&response));
  }
  q0_.Release();
  q1_.Release();
  gate_.Close();
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Seconds(10)));
  EXPECT_EQ(q0_.written.size() + q1_.written.size(), 1u);
}

TEST(EventCursor, ReadsWhatItWrites) {
  EventCursor cursor = *EventCursor::Parse("");
  EXPECT_EQ(cursor.Position("q0"), std::nullopt);
  cursor.Advance("q1", 7);
  cursor.Advance("q0", 12);
  EXPECT_EQ(cursor.Encode(), "q0=12,q1=7");
  const EventCursor again = *EventCursor::Parse("q0=12,q1=7");
  EXPECT_EQ(again.Position("q1"), 7u);
  EXPECT_EQ(again.Position("new"), 0u);
  EXPECT_EQ(EventCursor::Parse("0")->Position("q0"), 0u);
  for (const char* bad :
       {"q0", "=1", "q0=", "q0=1,", "q0=-1", "q0=+1", "q0= 1", "q0=1\n", "q0=1,q0=2", "q0=99999999999999999999999"}) {
    EXPECT_FALSE(EventCursor::Parse(bad).ok()) << bad;
  }
}

TEST(GrpcStatus, CancelledIsNeverSaid) {
  EXPECT_EQ(ToGrpc(absl::CancelledError("x")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ToSendMailError(absl::CancelledError("x")).code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace hikyaku::submission
