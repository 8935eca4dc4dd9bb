// Accepts TCP connections for a library that drives its sockets itself (gRPC), so that its doors have the same caps and
// the same patience as ours: gRPC 1.51 stops to accept for ever when the process has once been out of descriptors
// (CVE-2023-4785).
//
// It holds a second descriptor of each connection, to see when the connection is over; the library must shut a socket
// down before it closes it, as gRPC does. Out of descriptors or memory, accepting pauses and goes on: the kernel's
// backlog holds the clients. One that is turned away is closed without a word.
//
// Threading: one thread of its own; Start and the destructor from any other.
#ifndef HIKYAKU_LIB_NET_RAW_LISTENER_H_
#define HIKYAKU_LIB_NET_RAW_LISTENER_H_

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/net/admission.h"
#include "lib/net/endpoint.h"

namespace hikyaku::net {

class RawListener {
 public:
  static constexpr absl::Duration kPause = absl::Milliseconds(100);
  static constexpr int kBacklog = 1024;

  // Takes over a connected, non-blocking socket. Called on the listener's thread: short.
  using Taker = std::function<void(int fd)>;

  // Binds all of `at`; port 0 takes a free one, and `::` is for IPv4 too. kUnavailable names what cannot be bound.
  static absl::StatusOr<std::unique_ptr<RawListener>> Bind(const std::vector<Endpoint>& at,
                                                           std::shared_ptr<Admission> admission);
  ~RawListener();

  // Starts to accept. Call once.
  void Start(Taker taker);

  // In the order of `at`, with the real ports.
  const std::vector<Endpoint>& bound() const { return bound_; }

 private:
  explicit RawListener(std::shared_ptr<Admission> admission) : admission_(std::move(admission)) {}

  absl::Status Listen(const Endpoint& at);
  void Run();
  void Accept(int listener);
  void Pause(int listener, int error);
  void Forget(int fd);

  const std::shared_ptr<Admission> admission_;
  std::vector<Endpoint> bound_;
  std::vector<int> listeners_;
  int epoll_ = -1;
  int wake_ = -1;
  Taker taker_;
  std::thread thread_;

  // Of the thread.
  absl::flat_hash_map<int, address::IpAddress> open_;  // Our descriptor of each connection.
  bool paused_ = false;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_RAW_LISTENER_H_
