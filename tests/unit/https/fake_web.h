// Hosts of the web in memory, and the dialer that reaches them: what a test scripts, over real TLS.
//
// Threading: one thread.
#ifndef HIKYAKU_TESTS_UNIT_HTTPS_FAKE_WEB_H_
#define HIKYAKU_TESTS_UNIT_HTTPS_FAKE_WEB_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/net/dialer.h"
#include "lib/net/memory_stream.h"
#include "lib/net/sleep.h"
#include "lib/net/task_group.h"
#include "lib/tls/tls_stream.h"
#include "tests/unit/tls/identities.h"

namespace hikyaku::https {

struct FakeSite {
  std::shared_ptr<const tls::ServerContext> identity;
  std::string answer;             // Byte for byte.
  bool says_end = true;           // False: the connection is cut where the answer ends.
  absl::Duration before;          // Silence before the answer.
  std::vector<std::string> asks;  // What was asked.
};

class FakeWeb : public net::Dialer {
 public:
  ~FakeWeb() override { group_.Close(); }

  // Of "192.0.2.1:443", for a certificate of `names` by the good authority.
  FakeSite& Listen(const std::string& endpoint, std::vector<std::string> names) {
    FakeSite& site = sites_[endpoint];
    site.identity = tls::Server(tls::MakeIdentity("web", std::move(names), &tls::Authority()));
    return site;
  }

  static std::string Page(const std::string& text, const std::string& head = "200 OK\r\nContent-Type: text/plain") {
    return absl::StrCat("HTTP/1.1 ", head, "\r\nContent-Length: ", text.size(), "\r\n\r\n", text);
  }

  const std::vector<std::string>& dialled() const { return dialled_; }
  void Cancel() { group_.Cancel(); }
  std::size_t connections() const { return group_.size(); }

  awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> Dial(net::Endpoint to, net::DialOptions) override {
    dialled_.push_back(to.text());
    const auto found = sites_.find(to.text());
    if (found == sites_.end()) co_return absl::UnavailableError("connect: Connection refused");
    const Executor executor = co_await asio::this_coro::executor;
    auto pair = net::MakeMemoryPair(executor, {}, to);
    group_.Spawn(executor, Serve(&found->second, std::move(pair.second)));
    co_return std::unique_ptr<net::Stream>(std::move(pair.first));
  }

 private:
  static awaitable<void> Serve(FakeSite* site, std::unique_ptr<net::Stream> stream) {
    tls::Handshake shaken = co_await tls::HandshakeAsServer(site->identity, std::move(stream), absl::Hours(1));
    if (!shaken.status.ok()) co_return;
    std::string ask;
    while (ask.find("\r\n\r\n") == std::string::npos) {
      char buffer[1000];
      const auto got = co_await shaken.stream->ReadSome(buffer, sizeof(buffer), absl::Hours(1));
      if (!got.ok()) co_return;
      ask.append(buffer, *got);
    }
    if (const std::size_t at = ask.find("Content-Length: "); at != std::string::npos) {
      const std::size_t whole = ask.find("\r\n\r\n") + 4 + std::stoul(ask.substr(at + 16));
      while (ask.size() < whole) {
        char buffer[1000];
        const auto got = co_await shaken.stream->ReadSome(buffer, sizeof(buffer), absl::Hours(1));
        if (!got.ok()) co_return;
        ask.append(buffer, *got);
      }
    }
    site->asks.push_back(ask);
    const std::string answer = site->answer;
    const bool says_end = site->says_end;
    if (site->before > absl::ZeroDuration()) {
      const absl::Status slept = co_await net::Sleep(site->before);
      if (!slept.ok()) co_return;
    }
    const absl::Status written = co_await shaken.stream->WriteAll(answer, absl::Hours(1));
    if (written.ok() && says_end) co_await shaken.stream->SayEnd(absl::Hours(1));
  }

  net::TaskGroup group_;
  std::map<std::string, FakeSite> sites_;
  std::vector<std::string> dialled_;
};

}  // namespace hikyaku::https

#endif  // HIKYAKU_TESTS_UNIT_HTTPS_FAKE_WEB_H_
