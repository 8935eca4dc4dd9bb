#include "tests/unit/delivery/fake_world.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/net/memory_stream.h"
#include "lib/net/sleep.h"
#include "lib/tls/tls_stream.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kForEver = absl::Hours(1);

// Lines and counted octets of a stream.
class Reader {
 public:
  explicit Reader(net::Stream& stream) : stream_(stream) {}

  awaitable<std::optional<std::string>> Until(std::string end) {
    std::size_t at;
    while ((at = bytes_.find(end)) == std::string::npos) {
      const bool more = co_await Fill();
      if (!more) co_return std::nullopt;
    }
    std::string taken = bytes_.substr(0, at);
    bytes_.erase(0, at + end.size());
    co_return taken;
  }

  awaitable<std::optional<std::string>> Exactly(std::size_t size) {
    while (bytes_.size() < size) {
      const bool more = co_await Fill();
      if (!more) co_return std::nullopt;
    }
    std::string taken = bytes_.substr(0, size);
    bytes_.erase(0, size);
    co_return taken;
  }

 private:
  awaitable<bool> Fill() {
    char buffer[4096];
    const auto got = co_await stream_.ReadSome(buffer, sizeof(buffer), kForEver);
    if (got.ok()) bytes_.append(buffer, *got);
    co_return got.ok();
  }

  net::Stream& stream_;
  std::string bytes_;
};

// False: the connection ends here.
awaitable<bool> Say(net::Stream& stream, std::string reply) {
  if (reply == "close") co_return false;
  if (reply == "hang") {
    co_await net::Sleep(kForEver);
    co_return false;
  }
  if (absl::StartsWith(reply, "slowly ")) {
    co_await net::Sleep(absl::Milliseconds(100));
    reply.erase(0, 7);
  }
  while (absl::StartsWith(reply, "drip ") && reply.size() > 6) {
    const std::string octet = reply.substr(5, 1);
    reply.erase(5, 1);
    const absl::Status written = co_await stream.WriteAll(octet, kForEver);
    if (!written.ok()) co_return false;
    co_await net::Sleep(absl::Milliseconds(10));
  }
  if (absl::StartsWith(reply, "drip ")) reply.erase(0, 5);
  const bool close = absl::EndsWith(reply, "|close");
  if (close) reply.resize(reply.size() - 6);
  const std::vector<std::string> parts = absl::StrSplit(reply, "|then ");
  absl::Status written = co_await stream.WriteAll(parts[0] + "\r\n", kForEver);
  for (std::size_t i = 1; i < parts.size() && written.ok(); ++i) {
    co_await net::Sleep(absl::ZeroDuration());
    written = co_await stream.WriteAll(parts[i] + "\r\n", kForEver);
  }
  co_return written.ok() && !close;
}

}  // namespace

void FakePeer::On(const std::string& prefix, std::vector<std::string> replies) {
  absl::MutexLock lock(&mutex_);
  rules_.insert(rules_.begin(), {prefix, std::move(replies)});
}

void FakePeer::SpeakTls(std::shared_ptr<const tls::ServerContext> identity, bool implicit) {
  absl::MutexLock lock(&mutex_);
  identity_ = std::move(identity);
  implicit_ = implicit;
}

std::shared_ptr<const tls::ServerContext> FakePeer::identity(bool implicit) const {
  absl::MutexLock lock(&mutex_);
  return implicit == implicit_ ? identity_ : nullptr;
}

void FakePeer::Watch(std::function<void(const std::string&)> watcher) {
  absl::MutexLock lock(&mutex_);
  watcher_ = std::move(watcher);
}

std::vector<std::string> FakePeer::commands() const {
  absl::MutexLock lock(&mutex_);
  return commands_;
}

std::vector<std::string> FakePeer::bodies() const {
  absl::MutexLock lock(&mutex_);
  return bodies_;
}

int FakePeer::connections() const {
  absl::MutexLock lock(&mutex_);
  return connections_;
}

int FakePeer::Count(const std::string& prefix) const {
  int count = 0;
  for (const std::string& command : commands()) count += absl::StartsWith(command, prefix);
  return count;
}

void FakePeer::KeepBody(std::string body) {
  absl::MutexLock lock(&mutex_);
  bodies_.push_back(std::move(body));
}

std::string FakePeer::Default(const std::string& command) const {
  if (command.empty()) return "220 fake ESMTP";
  if (command == "STARTTLS") return "220 go ahead";
  if (command == "DATA") return "354 go on";
  if (command == "QUIT") return "221 bye|close";
  if (!absl::StartsWith(command, "EHLO") && !absl::StartsWith(command, "LHLO")) return "250 2.0.0 ok";
  std::string reply = extensions_.empty() ? "250 fake" : "250-fake";
  for (std::size_t i = 0; i < extensions_.size(); ++i) {
    absl::StrAppend(&reply, "\r\n250", i + 1 == extensions_.size() ? " " : "-", extensions_[i]);
  }
  return reply;
}

std::string FakePeer::Answer(const std::string& command) {
  std::function<void(const std::string&)> watcher;
  std::string reply = "default";
  {
    absl::MutexLock lock(&mutex_);
    if (command.empty())
      ++connections_;
    else if (command != ".")
      commands_.push_back(command);
    watcher = watcher_;
    for (Rule& rule : rules_) {
      const bool matches = rule.prefix.empty() ? command.empty() : absl::StartsWith(command, rule.prefix);
      if (!matches) continue;
      reply = rule.replies[std::min(rule.next++, rule.replies.size() - 1)];
      break;
    }
  }
  if (watcher) watcher(command);
  return reply == "default" ? Default(command) : reply;
}

awaitable<void> FakePeer::Serve(std::shared_ptr<FakePeer> peer, std::unique_ptr<net::Stream> stream) {
  if (const auto identity = peer->identity(/*implicit=*/true)) {
    tls::Handshake shaken = co_await tls::HandshakeAsServer(identity, std::move(stream), kForEver);
    if (!shaken.status.ok()) co_return;
    stream = std::move(shaken.stream);
  }
  std::optional<Reader> reader(std::in_place, *stream);
  bool open = co_await Say(*stream, peer->Answer(""));
  while (open) {
    const std::optional<std::string> line = co_await reader->Until("\r\n");
    if (!line) co_return;
    if (absl::StartsWith(*line, "BDAT")) {
      const std::vector<std::string> words = absl::StrSplit(*line, ' ');
      std::size_t size = 0;
      if (!absl::SimpleAtoi(words.at(1), &size)) co_return;
      std::optional<std::string> body = co_await reader->Exactly(size);
      if (!body) co_return;
      peer->KeepBody(*std::move(body));
    }
    const std::string reply = peer->Answer(*line);
    open = co_await Say(*stream, reply);
    const auto identity = peer->identity(/*implicit=*/false);
    if (open && identity != nullptr && *line == "STARTTLS" && absl::StartsWith(reply, "220")) {
      tls::Handshake shaken = co_await tls::HandshakeAsServer(identity, std::move(stream), kForEver);
      if (!shaken.status.ok()) co_return;
      stream = std::move(shaken.stream);
      reader.emplace(*stream);
    }
    if (!open || !absl::StartsWith(reply, "354")) continue;
    std::optional<std::string> body = co_await reader->Until("\r\n.\r\n");
    if (!body) co_return;
    peer->KeepBody(*std::move(body) + "\r\n");
    open = co_await Say(*stream, peer->Answer("."));
  }
}

std::shared_ptr<FakePeer> FakeDialer::Listen(const std::string& endpoint, std::vector<std::string> extensions) {
  auto peer = std::make_shared<FakePeer>(std::move(extensions));
  absl::MutexLock lock(&mutex_);
  peers_[endpoint] = peer;
  return peer;
}

void FakeDialer::Fail(const std::string& endpoint, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_[endpoint] = std::move(status);
}

std::vector<std::string> FakeDialer::dialled() const {
  absl::MutexLock lock(&mutex_);
  return dialled_;
}

awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> FakeDialer::Dial(net::Endpoint to, net::DialOptions options) {
  std::shared_ptr<FakePeer> peer;
  absl::Status failure;
  {
    absl::MutexLock lock(&mutex_);
    dialled_.push_back(to.text());
    if (const auto found = peers_.find(to.text()); found != peers_.end()) peer = found->second;
    if (const auto found = failures_.find(to.text()); found != failures_.end()) failure = found->second;
  }
  if (absl::IsDeadlineExceeded(failure)) {
    const absl::Status slept = co_await net::Sleep(std::min(options.limit, absl::Milliseconds(50)));
    if (!slept.ok()) co_return slept;
  }
  if (!failure.ok()) co_return failure;
  if (peer == nullptr) co_return absl::UnavailableError("connect: Connection refused");
  const Executor executor = co_await asio::this_coro::executor;
  auto pair = net::MakeMemoryPair(executor, {}, to);
  group_.Spawn(executor, FakePeer::Serve(std::move(peer), std::move(pair.second)));
  co_return std::unique_ptr<net::Stream>(std::move(pair.first));
}

queue::Lease MakeLease(const std::string& domain, const std::vector<std::string>& recipients, const std::string& body) {
  queue::Lease lease;
  lease.id = 1;
  lease.delivery.set_domain(domain);
  lease.delivery.mutable_envelope()->set_sender("a@sender.test");
  lease.delivery.mutable_envelope()->set_message_id("0123456789abcdef");
  lease.delivery.mutable_envelope()->set_size(body.size());
  for (const std::string& recipient : recipients) lease.delivery.add_recipients()->set_address(recipient);
  lease.body = std::make_shared<const std::string>(body);
  return lease;
}

}  // namespace hikyaku::delivery
