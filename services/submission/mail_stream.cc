// MailService.SendMailStream: reads while the window has room, answers each message when it is durable.
//
// Every gRPC operation is started under the mutex, which orders them; reactions of a reactor like this one (not
// inlineable) never run inside the call that starts the operation.
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "lib/submission/failure.h"
#include "lib/submission/stats.h"
#include "services/submission/grpc_status.h"
#include "services/submission/mail_service.h"

namespace hikyaku::submission {
namespace {

using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
using Requests = grpc::SerializationTraits<v1::SendMailStreamRequest>;
using Responses = grpc::SerializationTraits<v1::SendMailStreamResponse>;

// Unanswered messages, and their bytes, at which no more are read: the flow control of mail.proto.
constexpr std::size_t kWindow = 64;
constexpr std::size_t kWindowBytes = 32 << 20;

class SendStream : public Reactor, public CallGate::Stream {
 public:
  SendStream(MailSender* sender, CallGate* gate, const grpc::CallbackServerContext* context)
      : sender_(sender), gate_(gate), context_(context) {
    Stats::Grpc().sessions().Increment();
  }
  ~SendStream() override { Stats::Grpc().sessions().Decrement(); }

  void Begin() {
    std::lock_guard lock(mutex_);
    Advance();
  }

  void OnReadDone(bool ok) override {
    auto item = std::make_shared<Item>();
    // Until reading_ is false again nobody else touches incoming_.
    const bool readable = !ok || Requests::Deserialize(&incoming_, &item->request).ok();
    ok = ok && readable;
    {
      std::lock_guard lock(mutex_);
      reading_ = false;
      if (finished_) return;  // It met the stop: the client reads UNAVAILABLE, and this may be gone before an answer.
      unreadable_ = !readable;
      if (ok) {
        item->bytes = item->request.ByteSizeLong();
        ++unanswered_;
        unanswered_bytes_ += item->bytes;
      } else {
        ended_ = true;
      }
      Advance();
    }
    if (ok) Process(std::move(item));
  }

  void OnWriteDone(bool) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    Forget(*answers_.front());
    answers_.pop_front();
    Advance();
  }

  // The client is gone: what is on its way to the shards is still accepted, its answers go nowhere. OnReadDone(false)
  // follows.
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    Advance();
  }

  void OnStopping() override {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    Advance();
  }

  bool StuckSince(absl::Time then) override {
    std::lock_guard lock(mutex_);
    const bool only_answers = finished_ || (writing_ && answers_.size() == unanswered_);
    return only_answers && started_ <= then;
  }

  void OnDone() override {
    gate_->Leave(this);
    {
      std::lock_guard lock(mutex_);
    }  // Whoever called Finish has left it.
    delete this;
  }

 private:
  struct Item {
    v1::SendMailStreamRequest request;
    v1::SendMailStreamResponse answer;
    std::size_t bytes = 0;
  };

  void Process(std::shared_ptr<Item> item) {
    v1::SendMailRequest* request = item->request.mutable_request();
    sender_->Send(
        request, [this] { return CallState(*context_); },
        [this, item = std::move(item)](absl::StatusOr<v1::SendMailResponse> result) mutable {
          Answer(std::move(item), std::move(result));
        });
  }

  void Answer(std::shared_ptr<Item> item, absl::StatusOr<v1::SendMailResponse> result) {
    item->answer.set_tag(item->request.tag());
    if (result.ok()) {
      *item->answer.mutable_response() = *std::move(result);
    } else {
      *item->answer.mutable_error() = ToSendMailError(result.status());
    }
    item->request.clear_request();  // Its bytes are on disk; the answer may wait for a slow client.
    std::lock_guard lock(mutex_);
    answers_.push_back(std::move(item));
    Advance();
  }

  void Forget(const Item& item) {
    --unanswered_;
    unanswered_bytes_ -= item.bytes;
  }

  // Starts what can be started now. After Finish nothing of this object may be touched but the mutex.
  void Advance() {
    if (finished_) return;
    if (cancelled_ && !writing_) {
      for (const auto& item : answers_) Forget(*item);
      answers_.clear();
    }
    if (!writing_ && !answers_.empty()) {
      writing_ = true;
      started_ = absl::Now();
      // With another behind it, gRPC need not send this one at once: the last of those that wait takes all along.
      grpc::WriteOptions options;
      if (answers_.size() > 1) options.set_buffer_hint();
      outgoing_.Clear();  // A write leaves it as it was, and only an empty one can be written into.
      bool own = false;
      Responses::Serialize(answers_.front()->answer, &outgoing_, &own);
      StartWrite(&outgoing_, options);
    }
    if (!reading_ && !ended_ && !stopping_ && unanswered_ < kWindow && unanswered_bytes_ < kWindowBytes) {
      reading_ = true;
      StartRead(&incoming_);
    }
    if ((ended_ || stopping_) && unanswered_ == 0) {
      finished_ = true;
      started_ = absl::Now();
      Finish(End());
    }
  }

  grpc::Status End() const {
    if (unreadable_) {
      return {grpc::StatusCode::INVALID_ARGUMENT,
              "a message of the stream cannot be read: not a SendMailStreamRequest, or text that is not UTF-8; those "
              "before it were answered, and none after it was read"};
    }
    return ended_ ? grpc::Status::OK : ToGrpc(CallGate::Stopping());
  }

  MailSender* const sender_;
  CallGate* const gate_;
  const grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer incoming_;  // Belongs to gRPC while reading_.
  grpc::ByteBuffer outgoing_;  // The same while writing_.

  std::mutex mutex_;
  std::deque<std::shared_ptr<Item>> answers_;  // The first is being written while writing_.
  std::size_t unanswered_ = 0;                 // Read, and the answer not yet written.
  std::size_t unanswered_bytes_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool ended_ = false;       // The client sends no more, or nothing that can be read.
  bool unreadable_ = false;  // The last message was none.
  bool cancelled_ = false;
  bool stopping_ = false;
  bool finished_ = false;
  absl::Time started_;  // The last write, or Finish.
};

class RefusedStream : public Reactor {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* MailService::SendMailStream(
    grpc::CallbackServerContext* context) {
  auto stream = std::make_unique<SendStream>(sender_, gate_, context);
  if (!gate_->Enter(stream.get())) return new RefusedStream(ToGrpc(CallGate::Stopping()));
  stream->Begin();
  return stream.release();
}

}  // namespace hikyaku::submission
