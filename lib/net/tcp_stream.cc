// Deadlines cost almost nothing here. The stream has one timer, and each direction an absolute deadline. A wait only
// moves its deadline; the timer, armed for an earlier point, finds on firing that the deadline has moved and arms
// itself again. A dialogue of a thousand reads with a limit of five minutes touches the timer once in five minutes.
#include "lib/net/tcp_stream.h"

#include <array>
#include <chrono>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "lib/net/limit.h"

namespace hikyaku::net {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr TimePoint kNever = TimePoint::max();

// What Close reads and drops at most, see there.
constexpr int kDrainReads = 16;
constexpr std::size_t kDrainBytes = 4096;

// The buffers that are still to be written, as a range that Asio can copy cheaply.
class Gather {
 public:
  using value_type = asio::const_buffer;
  using const_iterator = const asio::const_buffer*;

  Gather(const_iterator begin, const_iterator end) : begin_(begin), end_(end) {}
  const_iterator begin() const { return begin_; }
  const_iterator end() const { return end_; }

 private:
  const_iterator begin_;
  const_iterator end_;
};

class Unwritten {
 public:
  explicit Unwritten(absl::Span<const absl::string_view> pieces) {
    for (const absl::string_view piece : pieces) {
      if (!piece.empty()) buffers_.emplace_back(piece.data(), piece.size());
    }
  }

  bool empty() const { return first_ == buffers_.size(); }
  Gather gather() const { return {buffers_.data() + first_, buffers_.data() + buffers_.size()}; }

  void Consume(std::size_t count) {
    while (count > 0 && count >= buffers_[first_].size()) count -= buffers_[first_++].size();
    if (count > 0) buffers_[first_] += count;
  }

 private:
  absl::InlinedVector<asio::const_buffer, 8> buffers_;
  std::size_t first_ = 0;
};

// One direction's wait.
struct Wait {
  TimePoint deadline = kNever;
  bool expired = false;
  absl::Duration limit;
};

// The part that the timer's handler shares, since it may run after the stream is gone.
template <typename Socket>
struct Core : std::enable_shared_from_this<Core<Socket>> {
  explicit Core(Socket connected) : socket(std::move(connected)), timer(socket.get_executor()) {}

  void Begin(Wait& wait, absl::Duration limit) {
    wait.deadline = SteadyAfter(limit);
    wait.limit = limit;
    wait.expired = false;
    Arm(wait.deadline);
  }

  void Arm(TimePoint deadline) {
    if (deadline >= armed) return;
    armed = deadline;
    timer.expires_at(deadline);
    timer.async_wait([weak = this->weak_from_this()](error_code error) {
      if (error) return;  // Armed anew, or closed.
      if (auto core = weak.lock()) core->OnTimer();
    });
  }

  void OnTimer() {
    armed = kNever;
    const TimePoint now = SteadyClock::now();
    for (Wait* wait : {&read, &write}) wait->expired = wait->deadline <= now;
    if (read.expired || write.expired) {
      read.expired = write.expired = true;
      error_code ignored;
      socket.cancel(ignored);
      return;
    }
    Arm(std::min(read.deadline, write.deadline));
  }

  absl::Status Explain(const Wait& wait, const error_code& error, absl::string_view what) const {
    if (closed) return absl::CancelledError("the stream was closed");
    if (error != asio::error::operation_aborted) return ToStatus(error, what);
    if (!wait.expired) return absl::CancelledError("the task was cancelled");
    return absl::DeadlineExceededError(absl::StrCat(what, ": nothing moved for ", absl::FormatDuration(wait.limit)));
  }

  Socket socket;
  Timer timer;
  TimePoint armed = kNever;  // When the timer fires.
  Wait read;
  Wait write;
  bool closed = false;
};

template <typename Socket>
class SocketStream : public Stream {
 public:
  SocketStream(Socket socket, Endpoint local, Endpoint remote)
      : core_(std::make_shared<Core<Socket>>(std::move(socket))), local_(local), remote_(remote) {}
  ~SocketStream() override { Close(); }

  awaitable<absl::StatusOr<std::size_t>> ReadSome(char* into, std::size_t size, absl::Duration limit) override {
    const auto task = co_await asio::this_coro::cancellation_state;
    if (task.cancelled() != asio::cancellation_type::none) co_return absl::CancelledError("the task was cancelled");
    core_->Begin(core_->read, limit);
    const auto [error, count] = co_await core_->socket.async_read_some(asio::buffer(into, size), kNoThrow);
    core_->read.deadline = kNever;
    if (error) co_return core_->Explain(core_->read, error, "read");
    co_return count;
  }

  absl::StatusOr<std::size_t> ReadArrived(char* into, std::size_t size) override {
    error_code error;
    const std::size_t count = core_->socket.read_some(asio::buffer(into, size), error);
    if (error == asio::error::would_block) return std::size_t{0};
    if (error) return core_->Explain(core_->read, error, "read");
    return count;
  }

  awaitable<absl::Status> Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) override {
    const auto task = co_await asio::this_coro::cancellation_state;
    if (task.cancelled() != asio::cancellation_type::none) co_return absl::CancelledError("the task was cancelled");
    Unwritten left(pieces);
    while (!left.empty()) {
      // Most writes fit into the kernel's buffer: no operation, no turn of the loop.
      error_code error;
      std::size_t count = core_->socket.write_some(left.gather(), error);
      if (error == asio::error::would_block) {
        core_->Begin(core_->write, limit);
        std::tie(error, count) = co_await core_->socket.async_write_some(left.gather(), kNoThrow);
        core_->write.deadline = kNever;
      }
      if (error) co_return core_->Explain(core_->write, error, "write");
      left.Consume(count);
    }
    co_return absl::OkStatus();
  }

  // What has arrived but was not read would make the kernel send a reset, which can overtake our last reply and destroy
  // it at the peer; so it is read first, within bounds.
  void Close() override {
    if (std::exchange(core_->closed, true)) return;
    core_->timer.cancel();
    error_code error;
    std::array<char, kDrainBytes> dropped;
    for (int i = 0; i < kDrainReads && !error; ++i) core_->socket.read_some(asio::buffer(dropped), error);
    core_->socket.close(error);
  }

  const Endpoint& remote() const override { return remote_; }
  const Endpoint& local() const override { return local_; }

 private:
  const std::shared_ptr<Core<Socket>> core_;
  const Endpoint local_;
  const Endpoint remote_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Stream>> MakeTcpStream(tcp::socket socket) {
  error_code error;
  const tcp::endpoint local = socket.local_endpoint(error);
  if (error) return ToStatus(error, "local address");
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return ToStatus(error, "remote address");
  socket.set_option(tcp::no_delay(true), error);
  if (!error) socket.non_blocking(true, error);
  if (error) return ToStatus(error, "socket option");
  return std::make_unique<SocketStream<tcp::socket>>(std::move(socket), FromAsio(local), FromAsio(remote));
}

absl::StatusOr<std::unique_ptr<Stream>> MakeUnixStream(asio::local::stream_protocol::socket socket) {
  error_code error;
  socket.non_blocking(true, error);
  if (error) return ToStatus(error, "socket option");
  const Endpoint nowhere{*address::IpAddress::Parse("0.0.0.0"), 0};
  return std::make_unique<SocketStream<asio::local::stream_protocol::socket>>(std::move(socket), nowhere, nowhere);
}

tcp::endpoint ToAsio(const Endpoint& endpoint) {
  const absl::string_view bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    asio::ip::address_v4::bytes_type v4;
    std::copy(bytes.begin(), bytes.end(), v4.begin());
    return {asio::ip::address_v4(v4), endpoint.port};
  }
  asio::ip::address_v6::bytes_type v6;
  std::copy(bytes.begin(), bytes.end(), v6.begin());
  return {asio::ip::address_v6(v6), endpoint.port};
}

Endpoint FromAsio(const tcp::endpoint& endpoint) {
  const auto of = [](const auto& bytes) {
    return *address::IpAddress::FromBytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  const asio::ip::address& address = endpoint.address();
  if (address.is_v4()) return {of(address.to_v4().to_bytes()), endpoint.port()};
  return {of(address.to_v6().to_bytes()).Unmapped(), endpoint.port()};
}

absl::Status ToStatus(const error_code& error, absl::string_view what) {
  if (error == asio::error::eof) return absl::OutOfRangeError("the peer closed the connection");
  const std::string text = absl::StrCat(what, ": ", error.message());
  if (error == asio::error::operation_aborted) return absl::CancelledError(text);
  if (error == asio::error::no_descriptors || error == asio::error::no_memory ||
      error == asio::error::no_buffer_space || error == boost::system::errc::too_many_files_open_in_system) {
    return absl::ResourceExhaustedError(text);
  }
  return absl::UnavailableError(text);
}

}  // namespace hikyaku::net
