// What the test receiver does with a mail: saves it to a Maildir, notes it in a log of JSON lines, prints and counts
// it.
//
// The log's line holds time, listener, client, helo, sender, recipients, size, sha256 (of the content as it came, dots
// unstuffed), token (the value of one header field), subject, how it came, by which TLS, what the client did wrong and, where asked
// for, the verdict on each DKIM signature. With `fsync`, file and line are on disk before Keep returns, hence before
// the client hears 250.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SINK_KEEPER_H_
#define HIKYAKU_SERVICES_HIKYAKU_SINK_KEEPER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "lib/net/endpoint.h"
#include "services/hikyaku/sink/session.h"

namespace hikyaku::sink {

struct KeeperOptions {
  std::string maildir;  // Empty: none. The file holds the content byte for byte, with CRLF.
  std::string log;      // Empty: none. Appended to.
  std::string token_header = "X-Hikyaku-Token";
  bool fsync = false;
  bool print = true;  // One line a mail on standard output.
  // What is to be said of the mail's DKIM signatures, one line each; null: nothing. May block.
  std::function<std::vector<std::string>(absl::string_view message)> dkim;
};

struct Counts {
  std::atomic<std::uint64_t> connections{0}, mails{0}, recipients{0}, bytes{0}, refused{0}, dropped{0}, faults{0};
};

class Keeper {
 public:
  // Makes the folders, opens the log. kInvalidArgument: one of them cannot be used.
  static absl::StatusOr<std::unique_ptr<Keeper>> Open(KeeperOptions options);
  ~Keeper();

  // An error: the mail is not kept, and must not be acknowledged.
  absl::Status Keep(const Mail& mail, const net::Endpoint& local, const net::Endpoint& client);

  Counts& counts() { return counts_; }
  std::string CountsText() const;

 private:
  explicit Keeper(KeeperOptions options) : options_(std::move(options)) {}

  absl::Status Save(const Mail& mail);
  absl::Status Log(const Mail& mail, const std::vector<std::string>& dkim, const net::Endpoint& local,
                   const net::Endpoint& client);
  void Print(const Mail& mail, const std::vector<std::string>& dkim, const net::Endpoint& local);

  const KeeperOptions options_;
  absl::Mutex mutex_;  // One line at a time, in the log and on the screen.
  int log_ = -1;
  int new_dir_ = -1;  // maildir/new, to fsync its entries.
  std::atomic<std::uint64_t> serial_{0};
  Counts counts_;
};

// The value of the first field `name` in the header of `message`, one line of it; empty where there is none.
std::string FieldOf(absl::string_view message, absl::string_view name);

}  // namespace hikyaku::sink

#endif  // HIKYAKU_SERVICES_HIKYAKU_SINK_KEEPER_H_
