// What a shard can be told.
#ifndef HIKYAKU_LIB_QUEUE_OPTIONS_H_
#define HIKYAKU_LIB_QUEUE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/queue/gate.h"
#include "lib/queue/pace.h"
#include "lib/queue/retry.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

// A message may wait so long for its first attempt (not_before).
inline constexpr std::int64_t kLongestScheduleMicros = std::int64_t{30} * 24 * 3600 * 1'000'000;

// Reports on TLS (lib/queue/tls_reporter.h); the configuration's section `reports.tls`.
struct TlsReportPolicy {
  std::string from;  // Empty: there are none.
  std::string organization;
  std::string contact;
};

// Reports to senders (lib/queue/reports.h); the configuration's section `reports`.
struct ReportPolicy {
  std::string hostname = "localhost";
  std::string from = "MAILER-DAEMON@localhost";
  absl::Duration delay_after = absl::Hours(4);  // 0: delays are not told.
  std::uint64_t headers_only_over = 50 << 10;
  TlsReportPolicy tls = {};
};

// The defaults are those of the configuration's `queue` section (proto/hikyaku/v1/config.proto).
struct Options {
  std::string data_dir;     // The store is in its folder `queue`. Both are made if missing.
  std::string name = "q0";  // As in `queue.shards`; a folder belongs to one name for ever.
  absl::Duration lifetime = absl::Hours(5 * 24);
  RetryPolicy retry;
  std::uint32_t domain_concurrency = 20;
  PacePolicy pace;  // Its pauses are no longer than retry.min.
  absl::Duration lease_timeout = absl::Seconds(60);
  std::uint64_t min_free_disk = std::uint64_t{1} << 30;
  std::uint64_t min_free_inodes = 1000;
  absl::Duration event_retention = absl::Hours(3 * 24);
  std::uint64_t hot_bodies = std::uint64_t{64} << 20;
  // Bodies that were read for leases and are with workers. Small ones may go beyond it, and one large one.
  std::uint64_t leased_bodies = std::uint64_t{256} << 20;
  std::uint32_t window = 50'000;
  std::uint32_t domain_window = 1'000;
  std::uint64_t write_buffer = std::uint64_t{32} << 20;
  std::uint64_t block_cache = std::uint64_t{64} << 20;
  std::uint64_t memory_limit = 0;                          // Of the process; more closes the gate. 0: none.
  std::uint64_t pending_bytes = std::uint64_t{256} << 20;  // Bodies that wait for their commit.
  ReportPolicy reports;

  // Doors for tests; empty: the real ones.
  std::function<absl::StatusOr<DiskSpace>()> measure_disk;
  std::function<absl::StatusOr<std::unique_ptr<Store>>(const std::string& dir)> open_store;

  // For the simulation: the shard has no threads, and works in LocalShard::Step() alone. Nobody can watch its events.
  bool stepped = false;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_OPTIONS_H_
