// A connected pair of streams in memory, for tests: what one end writes, the other reads; faults on demand.
//
// Threading: both ends on one executor, which runs on one thread.
#ifndef HIKYAKU_LIB_NET_MEMORY_STREAM_H_
#define HIKYAKU_LIB_NET_MEMORY_STREAM_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "lib/net/asio.h"
#include "lib/net/endpoint.h"
#include "lib/net/stream.h"

namespace hikyaku::net {

class MemoryStream : public Stream {
 public:
  // What a write may run ahead of the reader before it waits.
  static constexpr std::size_t kWindow = 64 * 1024;

  ~MemoryStream() override;

  awaitable<absl::StatusOr<std::size_t>> ReadSome(char* into, std::size_t size, absl::Duration limit) override;
  absl::StatusOr<std::size_t> ReadArrived(char* into, std::size_t size) override;
  awaitable<absl::Status> Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) override;
  void Close() override;
  const Endpoint& remote() const override { return remote_; }
  const Endpoint& local() const override { return local_; }

  // Faults of this end. After `bytes` more bytes, reads (writes) give `status`; an ok status means that they stall:
  // nothing moves any more. At most `size` bytes come by one read.
  void FailReadsAfter(std::size_t bytes, absl::Status status);
  void FailWritesAfter(std::size_t bytes, absl::Status status);
  void ReadAtMost(std::size_t size) { read_at_most_ = size; }

 private:
  struct Pipe;
  struct Fault;
  friend std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> MakeMemoryPair(Executor executor,
                                                                                                Endpoint first,
                                                                                                Endpoint second);

  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local, Endpoint remote);

  awaitable<absl::StatusOr<std::size_t>> WriteSome(absl::string_view bytes, absl::Duration limit);

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  const Endpoint local_;
  const Endpoint remote_;
  std::unique_ptr<Fault> read_fault_;
  std::unique_ptr<Fault> write_fault_;
  std::size_t read_at_most_ = kWindow;
  bool closed_ = false;
};

// The two ends; `first` and `second` are where they claim to be.
std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> MakeMemoryPair(Executor executor,
                                                                                       Endpoint first = {},
                                                                                       Endpoint second = {});

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_MEMORY_STREAM_H_
