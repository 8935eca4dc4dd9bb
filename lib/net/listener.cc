#include "lib/net/listener.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "lib/address/literal.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/net/sleep.h"
#include "lib/net/task_group.h"
#include "lib/net/tcp_stream.h"

namespace hikyaku::net {
namespace {

using address::IpAddress;
using asio::ip::tcp;
using boost::system::error_code;

// The last word to a client that is turned away: it fits into any socket buffer.
constexpr absl::Duration kRefusalLimit = absl::Seconds(5);

// Who counts as one client: a single customer owns a whole IPv6 /64.
IpAddress ClientOf(const IpAddress& address) {
  if (address.is_v4()) return address;
  std::string network(address.bytes().substr(0, 8));
  network.resize(16, '\0');
  return *IpAddress::FromBytes(network);
}

absl::Status BindError(const error_code& error, absl::string_view what) {
  const std::string text = absl::StrCat(what, ": ", error.message());
  if (error == asio::error::access_denied) return absl::PermissionDeniedError(text);
  if (error == asio::error::address_in_use) return absl::AlreadyExistsError(text);
  if (error == boost::system::errc::address_not_available) return absl::InvalidArgumentError(text);
  return absl::UnavailableError(text);
}

}  // namespace

struct Listener::State : std::enable_shared_from_this<State> {
  State(IoPool& pool, ListenerOptions options, Handler handler)
      : pool(pool), options(std::move(options)), handler(std::move(handler)), acceptor(pool.Next()) {}

  absl::Status Listen();
  static awaitable<void> Accept(std::shared_ptr<State> state);
  void Admit(tcp::socket socket, const Executor& executor);
  std::optional<Refusal> Enter(const IpAddress& client);
  void Leave(const IpAddress& client);

  IoPool& pool;
  const ListenerOptions options;
  const Handler handler;
  Endpoint bound;
  tcp::acceptor acceptor;
  TaskGroup accepting;
  TaskGroup sessions;

  absl::Mutex mutex;
  std::size_t open ABSL_GUARDED_BY(mutex) = 0;
  absl::flat_hash_map<IpAddress, std::size_t> per_client ABSL_GUARDED_BY(mutex);
};

namespace {

// Gives a place back, wherever the connection's coroutine ends.
template <typename State>
class Place {
 public:
  Place(std::shared_ptr<State> state, IpAddress client) : state_(std::move(state)), client_(client) {}
  Place(Place&&) = default;
  ~Place() {
    if (state_) state_->Leave(client_);
  }

 private:
  std::shared_ptr<State> state_;
  IpAddress client_;
};

template <typename State>
awaitable<void> Serve(std::shared_ptr<State> state, Place<State> place, std::unique_ptr<Stream> stream) {
  co_await state->handler(std::move(stream));
}

awaitable<void> TurnAway(std::unique_ptr<Stream> stream, std::string last_word) {
  if (!last_word.empty()) (void)co_await stream->WriteAll(last_word, kRefusalLimit);
  stream->Close();
}

}  // namespace

absl::Status Listener::State::Listen() {
  const std::string what = absl::StrCat("listen on ", options.at.text());
  const tcp::endpoint at = ToAsio(options.at);
  error_code error;
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && options.at.address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) return BindError(error, what);
  bound = FromAsio(acceptor.local_endpoint(error));
  if (error) return BindError(error, what);
  return absl::OkStatus();
}

awaitable<void> Listener::State::Accept(std::shared_ptr<State> state) {
  bool paused = false;
  while (state->acceptor.is_open()) {
    const Executor executor = state->pool.Next();
    auto [error, socket] = co_await state->acceptor.async_accept(executor, kNoThrow);
    const auto task = co_await asio::this_coro::cancellation_state;
    if (task.cancelled() != asio::cancellation_type::none) co_return;
    if (!error) {
      if (std::exchange(paused, false)) log::Info("accept_resumed", {{"listener", state->bound.text()}});
      state->Admit(std::move(socket), executor);
    } else if (error != asio::error::connection_aborted) {
      // Out of descriptors or memory: what is open must end first; the rest waits in the backlog.
      if (!std::exchange(paused, true)) {
        log::Warn("accept_paused", {{"listener", state->bound.text()}, {"error", error.message()}});
      }
      const absl::Status slept = co_await Sleep(kPause);
      if (!slept.ok()) co_return;
    }
  }
}

void Listener::State::Admit(tcp::socket socket, const Executor& executor) {
  auto stream = MakeTcpStream(std::move(socket));
  if (!stream.ok()) return;  // It has gone already.
  const IpAddress client = ClientOf((*stream)->remote().address);
  if (const std::optional<Refusal> refusal = Enter(client)) {
    std::string last_word = options.refusal ? options.refusal(*refusal) : std::string();
    sessions.Spawn(executor, TurnAway(*std::move(stream), std::move(last_word)));
    return;
  }
  Place<State> place(shared_from_this(), client);
  sessions.Spawn(executor, Serve(shared_from_this(), std::move(place), *std::move(stream)));
}

// A place for `client`, or why there is none.
std::optional<Refusal> Listener::State::Enter(const IpAddress& client) {
  absl::MutexLock lock(&mutex);
  if (options.max_connections > 0 && open >= options.max_connections) return Refusal::kTotal;
  std::size_t& own = per_client[client];
  if (options.max_per_client > 0 && own >= options.max_per_client) return Refusal::kPerClient;
  ++own;
  ++open;
  return std::nullopt;
}

void Listener::State::Leave(const IpAddress& client) {
  absl::MutexLock lock(&mutex);
  --open;
  const auto found = per_client.find(client);
  if (--found->second == 0) per_client.erase(found);
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(IoPool& pool, ListenerOptions options, Handler handler) {
  auto state = std::make_shared<State>(pool, std::move(options), std::move(handler));
  RETURN_IF_ERROR(state->Listen());
  state->accepting.Spawn(state->acceptor.get_executor(), State::Accept(state));
  return std::unique_ptr<Listener>(new Listener(std::move(state)));
}

Listener::Listener(std::shared_ptr<State> state) : state_(std::move(state)) {}

Listener::~Listener() {
  Stop();
  Drain(absl::ZeroDuration());
}

const Endpoint& Listener::bound() const { return state_->bound; }

std::size_t Listener::connections() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->open;
}

void Listener::Stop() {
  state_->accepting.Cancel();
  state_->accepting.Wait();
  error_code ignored;
  state_->acceptor.close(ignored);  // Nobody else uses it now.
}

bool Listener::Drain(absl::Duration patience) {
  state_->sessions.Close();
  if (state_->sessions.WaitFor(patience)) return true;
  state_->sessions.Cancel();
  state_->sessions.Wait();
  return false;
}

}  // namespace hikyaku::net
