// Accepts TCP connections and gives each to a coroutine of its own on the next thread of the pool.
//
// A connection above a cap gets one line (a 421, RFC 5321 §3.8) and is closed. When the process is out of file
// descriptors, accepting pauses for kPause and goes on: the kernel's backlog holds the clients.
//
// Threading: safe from every thread; Stop, Drain and the destructor are not called from a thread of the pool.
#ifndef HIKYAKU_LIB_NET_LISTENER_H_
#define HIKYAKU_LIB_NET_LISTENER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/net/admission.h"
#include "lib/net/asio.h"
#include "lib/net/endpoint.h"
#include "lib/net/io_pool.h"
#include "lib/net/stream.h"

namespace hikyaku::net {

struct ListenerOptions {
  // Port 0 takes a free port. `::` accepts IPv6 only: name 0.0.0.0 too for both.
  Endpoint at;
  // Who gets a place. Listeners may share one; not set: one of its own, with the default caps.
  std::shared_ptr<Admission> admission;
  // The bytes to write to a client that is turned away, line end included; empty or not set closes without a word.
  // Called on a thread of the pool, from several at a time.
  std::function<std::string(Refusal)> refusal;
};

class Listener {
 public:
  static constexpr absl::Duration kPause = absl::Milliseconds(100);
  static constexpr int kBacklog = 1024;

  // Owns the connection: returns when the dialogue is over, which closes the stream. Called on a thread of the pool,
  // from several at a time.
  using Handler = std::function<awaitable<void>(std::unique_ptr<Stream>)>;

  // Binds and starts to accept. `pool` must outlive the listener.
  //   kInvalidArgument   The address is not one of this machine. Fix the configuration.
  //   kPermissionDenied  The port needs a privilege.              Fix the configuration.
  //   kAlreadyExists     Another socket listens there.            Stop the other one.
  //   kUnavailable       Anything else that bind and listen say.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(IoPool& pool, ListenerOptions options, Handler handler);

  // Stop, then Drain without patience.
  ~Listener();

  // Where it listens, with the real port.
  const Endpoint& bound() const;

  // Connections open now, those being turned away not counted.
  std::size_t connections() const;

  // Stops accepting and closes the socket; open connections go on. Idempotent.
  void Stop();

  // After Stop: waits up to `patience` for the connections to end, then cancels them and waits for the rest. True if
  // none had to be cancelled.
  bool Drain(absl::Duration patience);

 private:
  struct State;

  explicit Listener(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_LISTENER_H_
