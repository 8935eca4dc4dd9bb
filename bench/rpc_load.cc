// Load for a server of mail.proto: SendMail or SendMailStream, as fast as the server answers or at a fixed rate.
//
//   bazel run //bench:rpc_load -- --address 127.0.0.1:7025 --mode unary --in_flight 256 --seconds 5
//   bazel run //bench:rpc_load -- --address 127.0.0.1:7025 --mode stream --rate 5000
//
// Closed loop (--rate 0): --in_flight calls are always unanswered. Open loop: so many calls begin a second, each
// millisecond its share, whether or not the ones before were answered, and a latency counts from when its call should
// have begun: a server that stalls cannot hide that by slowing its client. --deadline (seconds, unary only) is that of
// each call, from when it is made. Prints one line of JSON.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/load_record.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "hikyaku/v1/mail.grpc.pb.h"

namespace hikyaku::bench {
namespace {

struct Plan {
  std::string address = "127.0.0.1:7025";
  std::string mode = "unary";
  int in_flight = 256;  // Of all channels together.
  int channels = 4;     // Connections; each has one stream in mode stream.
  double rate = 0;      // Calls a second; 0: closed loop.
  double seconds = 5;
  double warm_up = 1;
  double deadline = 0;  // Of a call; 0: none.
  std::size_t size = 4096;
  int domains = 100;
};

// The same bytes for every mail but the domain that it goes to.
std::vector<v1::SendMailRequest> MakeRequests(const Plan& plan) {
  std::string data =
      "From: <alice@ours.test>\r\nTo: <bob@bench.test>\r\nSubject: load\r\n"
      "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <load@ours.test>\r\n\r\n";
  while (data.size() + 64 <= plan.size) data += std::string(62, 'x') + "\r\n";
  std::vector<v1::SendMailRequest> requests(std::max(plan.domains, 1));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].set_envelope_sender("alice@ours.test");
    requests[i].mutable_raw()->set_data(data);
    requests[i].mutable_raw()->add_recipients(absl::StrCat("bob@d", i, ".bench.test"));
  }
  return requests;
}

std::shared_ptr<grpc::Channel> Connect(const Plan& plan) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection of its own.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(plan.address, grpc::InsecureChannelCredentials(), arguments);
}

// How a call is made. Begin may come from any thread; Wait returns when no call is unanswered.
class Calls {
 public:
  virtual ~Calls() = default;
  virtual void Begin(Time start) = 0;
  virtual void Wait() = 0;
};

// Counts the calls that are on their way.
class Outstanding {
 public:
  void Add() { ++count_; }
  void Remove() { --count_; }
  int count() const { return count_; }
  void AwaitNone() const {
    while (count_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  std::atomic<int> count_{0};
};

class UnaryCalls : public Calls {
 public:
  UnaryCalls(const Plan& plan, LoadRecord* record)
      : closed_(plan.rate == 0), deadline_(plan.deadline), record_(record), requests_(MakeRequests(plan)) {
    for (int i = 0; i < plan.channels; ++i) stubs_.push_back(v1::MailService::NewStub(Connect(plan)));
  }

  void Begin(Time start) override {
    outstanding_.Add();
    const std::size_t number = next_.fetch_add(1, std::memory_order_relaxed);
    auto* call = new Call{.start = start};
    if (deadline_ > 0) {
      call->context.set_deadline(std::chrono::system_clock::now() +
                                 std::chrono::microseconds(static_cast<std::int64_t>(deadline_ * 1e6)));
    }
    stubs_[number % stubs_.size()]->async()->SendMail(&call->context, &requests_[number % requests_.size()],
                                                      &call->response,
                                                      [this, call](grpc::Status status) { End(call, status); });
  }

  void Wait() override { outstanding_.AwaitNone(); }

 private:
  struct Call {
    Time start;
    grpc::ClientContext context;
    v1::SendMailResponse response;
  };

  void End(Call* call, const grpc::Status& status) {
    if (status.ok()) {
      record_->Answered(call->start);
    } else {
      record_->Failed(status.error_code(), status.error_message());
    }
    delete call;
    if (const Time now = Clock::now(); closed_ && now < record_->to()) Begin(now);
    outstanding_.Remove();
  }

  const bool closed_;
  const double deadline_;
  LoadRecord* const record_;
  const std::vector<v1::SendMailRequest> requests_;
  std::vector<std::unique_ptr<v1::MailService::Stub>> stubs_;
  std::atomic<std::size_t> next_{0};
  Outstanding outstanding_;
};

// One stream: writes what it was given one after the other, reads answers as they come.
class Stream : public grpc::ClientBidiReactor<v1::SendMailStreamRequest, v1::SendMailStreamResponse> {
 public:
  Stream(const Plan& plan, LoadRecord* record, Outstanding* outstanding)
      : closed_(plan.rate == 0),
        record_(record),
        outstanding_(outstanding),
        stub_(v1::MailService::NewStub(Connect(plan))) {
    for (v1::SendMailRequest& request : MakeRequests(plan)) requests_.emplace_back().mutable_request()->Swap(&request);
    stub_->async()->SendMailStream(&context_, this);
    StartRead(&answer_);
    StartCall();
  }

  void Begin(Time start) {
    outstanding_->Add();
    std::lock_guard lock(mutex_);
    starts_.push_back(start);
    Advance();
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) Advance();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    Time start;
    {
      std::lock_guard lock(mutex_);
      start = starts_[answer_.tag() - first_];
      started_[answer_.tag() - first_] = false;
      while (!started_.empty() && !started_.front()) {
        started_.pop_front();
        starts_.pop_front();
        ++first_;
      }
    }
    if (answer_.has_response()) {
      record_->Answered(start);
    } else {
      record_->Failed(answer_.error().code(), answer_.error().message());
    }
    if (const Time now = Clock::now(); closed_ && now < record_->to()) Begin(now);
    outstanding_->Remove();
    StartRead(&answer_);
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) record_->Failed(status.error_code(), status.error_message());
    std::lock_guard lock(mutex_);
    over_ = true;
  }

  void End() {
    StartWritesDone();
    while (!over()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  bool over() const {
    std::lock_guard lock(mutex_);
    return over_;
  }

 private:
  // Under the mutex: writes the next message that waits. Messages first_ .. are unanswered; those in started_ are
  // written.
  void Advance() {
    if (writing_ || started_.size() == starts_.size()) return;
    writing_ = true;
    const std::uint64_t tag = first_ + started_.size();
    started_.push_back(true);
    v1::SendMailStreamRequest& message = requests_[tag % requests_.size()];
    message.set_tag(tag);
    StartWrite(&message);
  }

  const bool closed_;
  LoadRecord* const record_;
  Outstanding* const outstanding_;
  const std::unique_ptr<v1::MailService::Stub> stub_;
  grpc::ClientContext context_;
  v1::SendMailStreamResponse answer_;
  mutable std::mutex mutex_;
  std::vector<v1::SendMailStreamRequest> requests_;
  std::uint64_t first_ = 0;
  std::deque<Time> starts_;
  std::deque<bool> started_;  // False: answered, but one before it is not.
  bool writing_ = false, over_ = false;
};

class StreamCalls : public Calls {
 public:
  StreamCalls(const Plan& plan, LoadRecord* record) {
    for (int i = 0; i < plan.channels; ++i) streams_.push_back(std::make_unique<Stream>(plan, record, &outstanding_));
  }

  void Begin(Time start) override {
    streams_[next_.fetch_add(1, std::memory_order_relaxed) % streams_.size()]->Begin(start);
  }

  void Wait() override {
    const auto broken = [](const std::unique_ptr<Stream>& stream) { return stream->over(); };
    while (outstanding_.count() > 0 && std::none_of(streams_.begin(), streams_.end(), broken)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (const std::unique_ptr<Stream>& stream : streams_) stream->End();
  }

 private:
  Outstanding outstanding_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::atomic<std::size_t> next_{0};
};

Time::duration Seconds(double seconds) {
  return std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
}

// Calls begin in ticks: a wake-up for each one would cost the client, which shares the machine, more than the call.
constexpr std::chrono::milliseconds kTick{1};

// Begins at each tick what is due by then. A tick that is late begins all the same, and its calls count from its time.
void Pace(const Plan& plan, Time begin, Time end, Calls* calls) {
  std::int64_t begun = 0;
  for (Time tick = begin; tick < end; tick += kTick) {
    std::this_thread::sleep_until(tick);
    const auto due = static_cast<std::int64_t>(std::chrono::duration<double>(tick - begin).count() * plan.rate);
    for (; begun < due; ++begun) calls->Begin(tick);
  }
}

void Print(const Plan& plan, const LoadRecord& record) {
  const std::vector<float> micros = record.Micros();
  const auto at = [&](double share) {
    return micros.empty() ? 0.0 : micros[static_cast<std::size_t>(share * static_cast<double>(micros.size() - 1))];
  };
  std::string why = record.why();
  std::replace_if(why.begin(), why.end(), [](char c) { return c == '"' || c == '\\' || c < ' '; }, ' ');
  std::string codes;
  for (const auto& [code, count] : record.by_code()) {
    absl::StrAppend(&codes, codes.empty() ? "" : ", ", "\"", code, "\": ", count);
  }
  std::printf(
      "{\"mode\": \"%s\", \"asked_rate\": %.0f, \"rate\": %.1f, \"answered\": %llu, \"failed\": %llu, \"why\": \"%s\", "
      "\"p50_us\": %.0f, \"p90_us\": %.0f, \"p99_us\": %.0f, \"p999_us\": %.0f, \"max_us\": %.0f, "
      "\"codes\": {%s}}\n",
      plan.mode.c_str(), plan.rate, static_cast<double>(record.answered()) / record.seconds(),
      static_cast<unsigned long long>(record.answered()), static_cast<unsigned long long>(record.failed()), why.c_str(),
      at(0.5), at(0.9), at(0.99), at(0.999), at(1), codes.c_str());
}

int Run(const Plan& plan) {
  const Time begin = Clock::now();
  LoadRecord record(begin + Seconds(plan.warm_up), begin + Seconds(plan.warm_up + plan.seconds));
  std::unique_ptr<Calls> calls;
  if (plan.mode == "stream") {
    calls = std::make_unique<StreamCalls>(plan, &record);
  } else {
    calls = std::make_unique<UnaryCalls>(plan, &record);
  }
  if (plan.rate > 0) {
    Pace(plan, begin, record.to(), calls.get());
  } else {
    for (int i = 0; i < plan.in_flight; ++i) calls->Begin(Clock::now());
  }
  std::this_thread::sleep_until(record.to());
  calls->Wait();
  Print(plan, record);
  return record.answered() > 0 ? 0 : 1;
}

}  // namespace
}  // namespace hikyaku::bench

int main(int argc, char** argv) {
  hikyaku::bench::Plan plan;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--address") plan.address = value;
    if (name == "--mode") plan.mode = value;
    if (name == "--in_flight") plan.in_flight = std::atoi(value);
    if (name == "--channels") plan.channels = std::max(1, std::atoi(value));
    if (name == "--rate") plan.rate = std::atof(value);
    if (name == "--seconds") plan.seconds = std::atof(value);
    if (name == "--warm_up") plan.warm_up = std::atof(value);
    if (name == "--deadline") plan.deadline = std::atof(value);
    if (name == "--size") plan.size = std::strtoul(value, nullptr, 10);
    if (name == "--domains") plan.domains = std::atoi(value);
  }
  return hikyaku::bench::Run(plan);
}
