#include "services/queue/remote_shard.h"

#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "lib/base/log.h"
#include "services/common/grpc_status.h"
#include "services/queue/queue_service.h"
#include "services/queue/remote_events.h"
#include "services/queue/remote_leases.h"

namespace hikyaku::queue {
namespace {

// A broken shard is dialled again at this pace at the least and the most, so that its return is seen soon.
constexpr int kFirstReconnectMillis = 100;
constexpr int kMaxReconnectMillis = 2'000;
// How long one try may take: a TLS handshake with a busy machine takes a while. (gRPC's name for it misleads.)
constexpr int kConnectMillis = 3'000;
// A silent peer is asked for a sign of life, so that a machine that vanished is noticed.
constexpr int kKeepaliveMillis = 10'000;

// A shard that came back elsewhere is found as soon: gRPC's own default is half a minute.
constexpr int kDnsPauseMillis = 1'000;

grpc::ChannelArguments Arguments(const std::string& server_name, std::size_t max_message) {
  grpc::ChannelArguments arguments;
  if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kDnsPauseMillis);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMillis);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMillis);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMillis);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // One connection a shard of ours, not shared with others to the same address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(max_message + kEnvelopeRoom));
  arguments.SetMaxSendMessageSize(static_cast<int>(max_message + kEnvelopeRoom));
  return arguments;
}

// So often a write is repeated whose connection broke: a request that brings its shard down must not do so for ever.
constexpr int kRepeats = 3;

// One unary call under way: what must live until its callback.
template <typename Request, typename Response>
struct Call {
  std::optional<grpc::ClientContext> context;  // Of the present try.
  Request request;
  Response response;
  Done<Response> done;
  int repeats = 0;
  std::chrono::system_clock::time_point give_up;  // Once it was repeated.
};

template <typename Request, typename Response>
Call<Request, Response>* NewCall(Request request, Done<Response> done, absl::Duration limit) {
  auto* call = new Call<Request, Response>;
  call->request = std::move(request);
  call->done = std::move(done);
  call->context.emplace();
  call->context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(limit));
  return call;
}

template <typename C>
void End(C* call, hikyaku::Gate& calls, const absl::Status& status) {
  if (status.ok()) {
    call->done(std::move(call->response));
  } else {
    call->done(status);
  }
  delete call;
  calls.Leave();
}

absl::Status InDoubt(const grpc::Status& status) {
  return absl::DeadlineExceededError(absl::StrCat("the shard may or may not have it: ", status.error_message()));
}

// Whether the shard wrote is known only if it said so, or if the request never left. All else is in doubt, which the
// contract of Shard calls kDeadlineExceeded.
absl::Status WriteStatus(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok() || context.GetServerTrailingMetadata().count(kNothingWritten) > 0) return FromGrpcStatus(status);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
      (absl::StartsWith(status.error_message(), "failed to connect") ||
       absl::StartsWith(status.error_message(), "DNS resolution failed"))) {
    return FromGrpcStatus(status);
  }
  return InDoubt(status);
}

// Makes the call ready to be sent once more, to the same shard, as soon as that can be reached. False: it was tried
// enough, or has no hope.
template <typename C>
bool TryAgain(C* call, const grpc::Status& status, const absl::Status& result, absl::Duration limit) {
  const auto now = std::chrono::system_clock::now();
  const bool broken =
      status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
  if (!broken || !absl::IsDeadlineExceeded(result)) return false;
  if (call->repeats == 0) call->give_up = now + absl::ToChronoMicroseconds(limit);
  if (now >= call->give_up || call->repeats++ >= kRepeats) return false;
  call->context.emplace();
  call->context->set_wait_for_ready(true);
  call->context->set_deadline(call->give_up);
  return true;
}

// What became of one of several. `repeated`: that this try was not written says nothing of the first.
absl::StatusOr<internal::v1::EnqueueResponse> Part(internal::v1::EnqueueResult& result, bool repeated) {
  if (result.code() != 0) {
    const grpc::Status refused(static_cast<grpc::StatusCode>(result.code()), result.error());
    return repeated ? InDoubt(refused) : FromGrpcStatus(refused);
  }
  internal::v1::EnqueueResponse response;
  response.set_replayed_response(std::move(*result.mutable_replayed_response()));
  return response;
}

}  // namespace

RemoteShard::RemoteShard(std::string name, const std::string& address, const InternalTls& tls, std::size_t max_message,
                         absl::Duration doubt_limit, absl::Duration slow)
    : name_(std::move(name)),
      doubt_limit_(doubt_limit),
      slow_(slow),
      channel_(grpc::CreateCustomChannel(address, tls.Client(), Arguments(tls.server_name(), max_message))),
      stub_(internal::v1::QueueService::NewStub(channel_)) {
  channel_->GetState(/*try_to_connect=*/true);
}

RemoteShard::~RemoteShard() { calls_.Wait(); }

void RemoteShard::Enqueue(internal::v1::EnqueueRequest request, EnqueueDone done) {
  calls_.Enter();  // Until the answer is given.
  EnqueueDone counted = [this, done = std::move(done)](absl::StatusOr<internal::v1::EnqueueResponse> answer) mutable {
    std::move(done)(std::move(answer));
    calls_.Leave();
  };
  {
    absl::MutexLock lock(&mutex_);
    const auto now = std::chrono::steady_clock::now();
    waiting_.push_back({std::move(request), std::move(counted), now});
    if (reads_more_ && sending_ >= kCalls && absl::FromChrono(now - begun_) < slow_) return;
    ++sending_;
  }
  SendWaiting();
}

void RemoteShard::SendWaiting() {
  internal::v1::EnqueueRequest request;
  absl::Duration limit;
  std::vector<EnqueueDone> dones = TakeWaiting(request, limit);
  if (dones.empty()) return;
  calls_.Enter();
  auto* call = NewCall(std::move(request), EnqueueDone(), limit);
  call->done = [this, call, dones = std::move(dones)](absl::StatusOr<internal::v1::EnqueueResponse> answer) mutable {
    if (call->repeats == 0) SendWaiting();
    Answer(call->request, std::move(dones), std::move(answer), call->repeats > 0);
  };
  Write(call, [this](auto* call, auto answered) {
    if (call->repeats == 1) SendWaiting();  // It may be long until it ends.
    if (call->repeats > 0) {
      call->request.set_maybe_repeat(true);
      for (internal::v1::EnqueueRequest& other : *call->request.mutable_more()) other.set_maybe_repeat(true);
    }
    stub_->async()->Enqueue(&*call->context, &call->request, &call->response, std::move(answered));
  });
}

std::vector<RemoteShard::EnqueueDone> RemoteShard::TakeWaiting(internal::v1::EnqueueRequest& request,
                                                               absl::Duration& limit) {
  std::vector<EnqueueDone> dones;
  absl::MutexLock lock(&mutex_);
  begun_ = std::chrono::steady_clock::now();
  if (!waiting_.empty()) limit = kWriteLimit - absl::FromChrono(begun_ - waiting_.front().since);
  const std::size_t most = reads_more_ ? kTogether : 1;
  std::size_t bytes = 0;
  while (!waiting_.empty() && dones.size() < most) {
    Waiting& next = waiting_.front();
    bytes += next.request.body().size();
    if (!dones.empty() && bytes > kTogetherBytes) break;
    (dones.empty() ? request : *request.add_more()) = std::move(next.request);
    dones.push_back(std::move(next.done));
    waiting_.pop_front();
  }
  if (dones.empty()) --sending_;
  return dones;
}

void RemoteShard::Answer(internal::v1::EnqueueRequest& request, std::vector<EnqueueDone> dones,
                         absl::StatusOr<internal::v1::EnqueueResponse> answer, bool repeated) {
  if (absl::IsUnavailable(answer.status()) || absl::IsDeadlineExceeded(answer.status())) {
    for (EnqueueDone& done : dones) std::move(done)(answer.status());
    return;
  }
  if (answer.ok() && answer->results_size() == static_cast<int>(dones.size())) {
    for (std::size_t i = 0; i < dones.size(); ++i) std::move(dones[i])(Part(*answer->mutable_results(i), repeated));
    return;
  }
  std::move(dones[0])(std::move(answer));
  if (dones.size() == 1) return;
  google::protobuf::RepeatedPtrField<internal::v1::EnqueueRequest> more;
  more.Swap(request.mutable_more());
  {
    absl::MutexLock lock(&mutex_);
    reads_more_ = false;
  }
  for (std::size_t i = 1; i < dones.size(); ++i) Enqueue(std::move(more[i - 1]), std::move(dones[i]));
}

// The repeat of a claim is answered with what the first one reserved.
void RemoteShard::Claim(internal::v1::ClaimRequest request, Done<internal::v1::ClaimResponse> done) {
  calls_.Enter();
  Write(NewCall(std::move(request), std::move(done), kWriteLimit), [this](auto* call, auto answered) {
    stub_->async()->Claim(&*call->context, &call->request, &call->response, std::move(answered));
  });
}

template <typename C, typename Send>
void RemoteShard::Write(C* call, Send send) {
  send(call, [this, call, send](grpc::Status status) {
    absl::Status result = WriteStatus(status, *call->context);
    if (TryAgain(call, status, result, doubt_limit_)) return Write(call, send);
    // That the repeat was not written says nothing of the first try.
    if (call->repeats > 0 && !result.ok()) result = InDoubt(status);
    if (absl::IsDeadlineExceeded(result)) {
      log::Warn("write_in_doubt", {{"shard", name_}, {"repeats", call->repeats}, {"error", FromGrpcStatus(status)}});
    }
    End(call, calls_, result);
  });
}

std::unique_ptr<LeaseStream> RemoteShard::OpenLeases(std::string worker, LeaseListener* listener) {
  return std::make_unique<RemoteLeases>(*stub_, std::move(worker), listener);
}

std::unique_ptr<EventSubscription> RemoteShard::WatchEvents(internal::v1::WatchShardRequest request, EventSink sink,
                                                            absl::AnyInvocable<void(absl::Status)> closed) {
  return std::make_unique<RemoteEvents>(*stub_, std::move(request), std::move(sink), std::move(closed));
}

// The reads differ in their names only.
#define HIKYAKU_FORWARD(Method, limit)                                                                        \
  void RemoteShard::Method(v1::Method##Request request, Done<v1::Method##Response> done) {                    \
    calls_.Enter();                                                                                           \
    auto* call = NewCall(std::move(request), std::move(done), limit);                                         \
    stub_->async()->Method(&*call->context, &call->request, &call->response,                                  \
                           [this, call](grpc::Status status) { End(call, calls_, FromGrpcStatus(status)); }); \
  }
HIKYAKU_FORWARD(GetMessage, kReadLimit)
HIKYAKU_FORWARD(ListQueues, kReadLimit)
HIKYAKU_FORWARD(ListDeliveries, kReadLimit)
HIKYAKU_FORWARD(Flush, kWriteLimit)
HIKYAKU_FORWARD(Suspend, kWriteLimit)
HIKYAKU_FORWARD(Resume, kWriteLimit)
HIKYAKU_FORWARD(Purge, kWriteLimit)
HIKYAKU_FORWARD(SendTlsReports, kWriteLimit)
#undef HIKYAKU_FORWARD

void RemoteShard::CheckQueue(Done<v1::CheckQueueResponse> done) {
  calls_.Enter();
  auto* call = NewCall(v1::CheckQueueRequest(), std::move(done), absl::Minutes(10));
  stub_->async()->CheckQueue(&*call->context, &call->request, &call->response,
                             [this, call](grpc::Status status) { End(call, calls_, FromGrpcStatus(status)); });
}

void RemoteShard::GetStsPolicy(internal::v1::GetStsPolicyRequest request, Done<storage::v1::StsPolicy> done) {
  calls_.Enter();
  auto* call = NewCall(std::move(request), std::move(done), kReadLimit);
  stub_->async()->GetStsPolicy(&*call->context, &call->request, &call->response,
                               [this, call](grpc::Status status) { End(call, calls_, FromGrpcStatus(status)); });
}

// Not repeated: what is lost is fetched again.
void RemoteShard::PutStsPolicy(storage::v1::StsPolicy policy, Done<internal::v1::PutStsPolicyResponse> done) {
  calls_.Enter();
  auto* call = NewCall(std::move(policy), std::move(done), kWriteLimit);
  stub_->async()->PutStsPolicy(&*call->context, &call->request, &call->response,
                               [this, call](grpc::Status status) { End(call, calls_, FromGrpcStatus(status)); });
}

std::string RemoteShard::NotReady() const {
  switch (channel_->GetState(/*try_to_connect=*/true)) {
    case GRPC_CHANNEL_READY: return "";
    case GRPC_CHANNEL_IDLE:
    case GRPC_CHANNEL_CONNECTING: return absl::StrCat("shard ", name_, ": connecting");
    default: return absl::StrCat("shard ", name_, ": cannot be reached");
  }
}

}  // namespace hikyaku::queue
