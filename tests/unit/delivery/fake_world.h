// Mail hosts in memory that follow a script, and the dialer that reaches them.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_WORLD_H_
#define HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_WORLD_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/net/dialer.h"
#include "lib/net/task_group.h"
#include "lib/queue/shard.h"
#include "lib/tls/context.h"

namespace hikyaku::delivery {

// One mail host. It says 250 (354 to DATA, 221 to QUIT) to what has no rule.
class FakePeer {
 public:
  explicit FakePeer(std::vector<std::string> extensions = {}) : extensions_(std::move(extensions)) {}

  // Commands that begin with `prefix` ("", the greeting, is one; "." the end of the body) are answered by the replies
  // in turn, the last one again and again. A reply "close" closes without a word, "hang" is silence for ever, "default"
  // as without a rule; one that begins with "slowly " comes after 100 ms, with "drip " an octet each 10 ms, one that
  // ends in "|close" closes after it; what follows "|then " comes a moment later. Later rules come first.
  void On(const std::string& prefix, std::vector<std::string> replies);

  // From now on a 220 to STARTTLS is followed by a handshake as `identity`'s owner; with `implicit`, the connection begins
  // with one.
  void SpeakTls(std::shared_ptr<const tls::ServerContext> identity, bool implicit = false);

  // Called for each command before its answer.
  void Watch(std::function<void(const std::string&)> watcher);

  std::vector<std::string> commands() const;  // Without greeting and bodies.
  std::vector<std::string> bodies() const;
  int connections() const;
  int Count(const std::string& prefix) const;

  // One connection to it.
  static awaitable<void> Serve(std::shared_ptr<FakePeer> peer, std::unique_ptr<net::Stream> stream);

 private:
  struct Rule {
    std::string prefix;
    std::vector<std::string> replies;
    std::size_t next = 0;
  };

  std::shared_ptr<const tls::ServerContext> identity(bool implicit) const;
  std::string Answer(const std::string& command);
  std::string Default(const std::string& command) const;
  void KeepBody(std::string body);

  const std::vector<std::string> extensions_;
  mutable absl::Mutex mutex_;
  std::vector<Rule> rules_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const std::string&)> watcher_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const tls::ServerContext> identity_ ABSL_GUARDED_BY(mutex_);
  bool implicit_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> commands_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> bodies_ ABSL_GUARDED_BY(mutex_);
  int connections_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FakeDialer : public net::Dialer {
 public:
  // `endpoint` as "192.0.2.1:25".
  std::shared_ptr<FakePeer> Listen(const std::string& endpoint, std::vector<std::string> extensions = {});
  void Fail(const std::string& endpoint, absl::Status status);

  // Every endpoint that was dialled, in order. One without a peer refuses.
  std::vector<std::string> dialled() const;

  // Ends all connections; the executors must run until this is true.
  void Cancel() { group_.Cancel(); }
  std::size_t connections() const { return group_.size(); }

  awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> Dial(net::Endpoint to, net::DialOptions options) override;

 private:
  net::TaskGroup group_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<FakePeer>> peers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> dialled_ ABSL_GUARDED_BY(mutex_);
};

// A lease of one message from a@sender.test to `recipients`.
queue::Lease MakeLease(const std::string& domain, const std::vector<std::string>& recipients,
                       const std::string& body = "Subject: x\r\n\r\nhello\r\n");

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_WORLD_H_
