// The limit of gRPC on this machine: a server of mail.proto that keeps nothing and answers with the bytes it got.
//
//   bazel run //bench:grpc_echo -- ADDRESS [echo|small]     echo: the whole message comes back; small: a usual answer
//
// Callback API, as the real server; the same client (rpc_load) measures both. Ends with SIGTERM.
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "hikyaku/v1/mail.grpc.pb.h"

namespace hikyaku::bench {
namespace {

constexpr std::size_t kWindow = 64;  // As the real server's: unanswered messages of a stream.

void Answer(bool echo, v1::SendMailRequest* request, v1::SendMailResponse* response) {
  response->set_message_id("01jdn5w3k8v4x2c7r9tq6m1b0z");
  if (echo) {
    response->set_message_id_header(std::move(*request->mutable_raw()->mutable_data()));
    return;
  }
  response->set_message_id_header("01jdn5w3k8v4x2c7r9tq6m1b0z@mail.ours.test");
  v1::RecipientResult& recipient = *response->add_recipients();
  recipient.set_address(request->raw().recipients(0));
  recipient.set_accepted(true);
}

// One read and one write at a time; reads on while fewer than kWindow answers wait.
class EchoStream : public grpc::ServerBidiReactor<v1::SendMailStreamRequest, v1::SendMailStreamResponse> {
 public:
  explicit EchoStream(bool echo) : echo_(echo) {
    std::lock_guard lock(mutex_);
    Advance();
  }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    reading_ = false;
    ended_ = !ok;
    if (ok) {
      v1::SendMailStreamResponse& answer = answers_.emplace_back();
      answer.set_tag(incoming_.tag());
      Answer(echo_, incoming_.mutable_request(), answer.mutable_response());
    }
    Advance();
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    answers_.pop_front();
    if (!ok) answers_.clear();
    Advance();
  }

  void OnDone() override { delete this; }

 private:
  void Advance() {
    if (finished_) return;
    if (!ended_ && !reading_ && answers_.size() < kWindow) {
      reading_ = true;
      StartRead(&incoming_);
    }
    if (!writing_ && !answers_.empty()) {
      writing_ = true;
      StartWrite(&answers_.front());
    }
    if (ended_ && answers_.empty()) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
  }

  const bool echo_;
  std::mutex mutex_;
  v1::SendMailStreamRequest incoming_;
  std::deque<v1::SendMailStreamResponse> answers_;
  bool reading_ = false, writing_ = false, ended_ = false, finished_ = false;
};

class EchoService : public v1::MailService::CallbackService {
 public:
  explicit EchoService(bool echo) : echo_(echo) {}

  grpc::ServerUnaryReactor* SendMail(grpc::CallbackServerContext* context, const v1::SendMailRequest* request,
                                     v1::SendMailResponse* response) override {
    // gRPC owns the request and lets nobody else see it: its bytes may be moved out.
    Answer(echo_, const_cast<v1::SendMailRequest*>(request), response);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerBidiReactor<v1::SendMailStreamRequest, v1::SendMailStreamResponse>* SendMailStream(
      grpc::CallbackServerContext*) override {
    return new EchoStream(echo_);
  }

 private:
  const bool echo_;
};

}  // namespace
}  // namespace hikyaku::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: grpc_echo ADDRESS [echo|small]\n");
    return 2;
  }
  hikyaku::bench::EchoService service(argc < 3 || std::string(argv[2]) != "small");
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::fprintf(stderr, "cannot listen on %s\n", argv[1]);
    return 1;
  }
  server->Wait();
}
