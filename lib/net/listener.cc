#include "lib/net/listener.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
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

  IoPool& pool;
  const ListenerOptions options;
  const Handler handler;
  Endpoint bound;
  tcp::acceptor acceptor;
  TaskGroup accepting;
  TaskGroup sessions;

  std::atomic<std::size_t> open{0};
};

namespace {

// Gives a place back, wherever the connection's coroutine ends.
template <typename State>
class Place {
 public:
  Place(std::shared_ptr<State> state, IpAddress client) : state_(std::move(state)), client_(client) { ++state_->open; }
  Place(Place&&) = default;
  ~Place() {
    if (!state_) return;
    --state_->open;
    state_->options.admission->Leave(client_);
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
  const IpAddress client = (*stream)->remote().address;
  if (const std::optional<Refusal> refusal = options.admission->Enter(client, absl::Now())) {
    std::string last_word = options.refusal ? options.refusal(*refusal) : std::string();
    sessions.Spawn(executor, TurnAway(*std::move(stream), std::move(last_word)));
    return;
  }
  Place<State> place(shared_from_this(), client);
  sessions.Spawn(executor, Serve(shared_from_this(), std::move(place), *std::move(stream)));
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(IoPool& pool, ListenerOptions options, Handler handler) {
  if (!options.admission) options.admission = std::make_shared<Admission>(Admission::Caps());
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

std::size_t Listener::connections() const { return state_->open; }

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
