// Our client against our server, in every cutting: each content comes out as it went in.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/client_session.h"
#include "lib/smtp/server_session.h"

namespace hikyaku::smtp {
namespace {

// A server that hides some of its extensions.
std::string Without(std::string output, const std::vector<std::string>& hidden) {
  for (const std::string& keyword : hidden) {
    const std::size_t at = output.find(absl::StrCat("250-", keyword, "\r\n"));
    if (at != std::string::npos) output.erase(at, keyword.size() + 6);
  }
  return output;
}

class Loopback {
 public:
  explicit Loopback(std::vector<std::string> hidden, std::size_t step)
      : hidden_(std::move(hidden)), step_(step), server_(Options(), &policy_), client_("out.test") {
    server_.Start();
    Drive(client_.Start());
  }

  ClientSession::Want Send(const std::string& body) {
    return Drive(client_.Begin({"a@b.test", {"r@ok.test", "u@[127.0.0.1]"}, "H: 1\r\n", body}));
  }

  const TransactionResult& result() const { return client_.result(); }
  std::vector<std::string>& contents() { return contents_; }

 private:
  static ServerOptions Options() {
    ServerOptions options;
    options.hostname = "mx.test";
    options.may_relay = true;
    return options;
  }

  ClientSession::Want Drive(ClientSession::Want want) {
    while (want == ClientSession::Want::kWrite || want == ClientSession::Want::kRead) {
      if (want == ClientSession::Want::kWrite) {
        for (absl::string_view piece : client_.output()) ToServer(piece);
        want = client_.OutputWritten();
      } else {
        const std::string reply = Without(server_.TakeOutput(), hidden_);
        if (reply.empty()) return want;  // Both wait: the test fails on this.
        want = client_.Feed(reply);
      }
    }
    return want;
  }

  void ToServer(absl::string_view octets) {
    for (std::size_t at = 0; at < octets.size(); at += step_) {
      ServerSession::Want want = server_.Feed(octets.substr(at, step_));
      while (want == ServerSession::Want::kDeliver) {
        contents_.push_back(std::move(server_.transaction().data));
        want = server_.Answer({250, "2.0.0", "OK"});
      }
    }
  }

  std::vector<std::string> hidden_;
  std::size_t step_;
  ServerPolicy policy_;
  ServerSession server_;
  ClientSession client_;
  std::vector<std::string> contents_;
};

TEST(Loopback, ContentArrivesUnchanged) {
  const std::vector<std::string> kHidden[] = {{}, {"CHUNKING"}, {"PIPELINING"}, {"CHUNKING", "PIPELINING"}};
  const std::string kBodies[] = {"",
                                 "\r\n",
                                 ".\r\n",
                                 "\r\n.\r\n",
                                 "..\r\n.\r\n...\r\n",
                                 "no end",
                                 std::string(ClientSession::kMaxOneWrite - 6, 'x'),
                                 std::string(ClientSession::kMaxOneWrite + 1, '.'),
                                 std::string(ClientSession::kBlock * 2, 'y') + "\r\n.\r\n"};
  for (const auto& hidden : kHidden) {
    for (std::size_t step : {1u, 1000u, 65'536u}) {
      Loopback loop(hidden, step);
      for (const std::string& body : kBodies) {
        ASSERT_EQ(loop.Send(body), ClientSession::Want::kIdle);
        ASSERT_EQ(loop.result().failed_at, std::nullopt);
        EXPECT_EQ(loop.result().rcpt[1]->enhanced, "5.1.2");
        const bool ended = body.empty() || absl::string_view(body).substr(std::max<int>(body.size() - 2, 0)) == "\r\n";
        EXPECT_EQ(loop.contents().back(), "H: 1\r\n" + body + (ended ? "" : "\r\n"));
      }
      EXPECT_EQ(loop.contents().size(), std::size(kBodies));
    }
  }
}

}  // namespace
}  // namespace hikyaku::smtp
