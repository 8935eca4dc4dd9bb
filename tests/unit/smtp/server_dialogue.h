// A client for ServerSession in tests: sends octets, takes every complete message with 250, keeps replies and mails.
#ifndef HIKYAKU_TESTS_UNIT_SMTP_SERVER_DIALOGUE_H_
#define HIKYAKU_TESTS_UNIT_SMTP_SERVER_DIALOGUE_H_

#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "lib/smtp/server_session.h"

namespace hikyaku::smtp {

inline ServerOptions Trusted() {
  ServerOptions options;
  options.hostname = "mx.ours.test";
  options.may_relay = true;
  return options;
}

inline ServerOptions Stranger() {
  ServerOptions options = Trusted();
  options.may_relay = false;
  return options;
}

class ServerDialogue {
 public:
  explicit ServerDialogue(ServerOptions options, ServerPolicy* policy = nullptr)
      : session_(std::move(options), policy == nullptr ? &open_policy_ : policy) {
    want_ = session_.Start();
    TakeReplies();
    replies_.clear();
  }

  // Sends `octets` and gives the codes of all replies to them. What comes after the close is not sent.
  std::vector<int> Send(absl::string_view octets) {
    replies_.clear();
    if (closed()) return {};
    want_ = session_.Feed(octets);
    Settle();
    return Codes();
  }

  // The same, `step` octets at a time.
  std::vector<int> SendSlowly(absl::string_view octets, std::size_t step) {
    std::vector<int> codes;
    for (std::size_t at = 0; at < octets.size() && !closed(); at += step) {
      for (int code : Send(octets.substr(at, step))) codes.push_back(code);
    }
    return codes;
  }

  std::vector<int> After(ServerSession::Want want) {
    replies_.clear();
    want_ = want;
    TakeReplies();
    return Codes();
  }

  ServerSession& session() { return session_; }
  bool closed() const { return want_ == ServerSession::Want::kClose; }
  const std::vector<Transaction>& mails() const { return mails_; }
  const std::vector<std::string>& lines() const { return replies_; }  // Of the last Send, without CRLF.
  std::string last() const { return replies_.empty() ? "" : replies_.back(); }

  Reply verdict{250, "2.0.0", "OK"};  // What every mail is answered.

 private:
  void Settle() {
    TakeReplies();
    while (want_ == ServerSession::Want::kDeliver) {
      mails_.push_back(std::move(session_.transaction()));
      want_ = session_.Answer(verdict);
      TakeReplies();
    }
  }

  void TakeReplies() {
    const std::string output = session_.TakeOutput();
    for (absl::string_view line : absl::StrSplit(output, "\r\n")) {
      if (!line.empty()) replies_.emplace_back(line);
    }
  }

  std::vector<int> Codes() const {
    std::vector<int> codes;
    for (const std::string& line : replies_) {
      if (line.size() < 4 || line[3] != '-') codes.push_back(std::atoi(line.c_str()));
    }
    return codes;
  }

  ServerPolicy open_policy_;
  ServerSession session_;
  ServerSession::Want want_;
  std::vector<Transaction> mails_;
  std::vector<std::string> replies_;
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_TESTS_UNIT_SMTP_SERVER_DIALOGUE_H_
