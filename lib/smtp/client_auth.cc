// AUTH in the client's session: commands, 334 and what ends it. The mechanisms are sasl_client.cc.
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/smtp/client_session.h"

namespace hikyaku::smtp {
namespace {

constexpr std::size_t kMaxCommand = 512;  // RFC 5321 §4.5.3.1.4, with its line end. Lines behind 334 may be longer.

}  // namespace

ClientSession::Want ClientSession::Authenticate(SaslClient* sasl) {
  HIKYAKU_CHECK(state_ == State::kIdle);
  state_ = State::kAuth;
  step_ = Step::kAuth;
  sasl_ = sasl;
  auth_broke_.clear();
  held_answer_ = sasl_->Initial();
  commands_ = absl::StrCat("AUTH ", SaslName(sasl_->mechanism()));
  if (held_answer_ && commands_.size() + held_answer_->size() + 3 <= kMaxCommand) {
    absl::StrAppend(&commands_, " ", *std::exchange(held_answer_, std::nullopt));
  }
  commands_ += "\r\n";
  output_ = {commands_};
  return Want::kWrite;
}

ClientSession::Want ClientSession::OnAuth(Reply reply) {
  if (reply.Intermediate() && auth_broke_.empty()) {
    absl::StatusOr<std::string> answer;
    if (held_answer_) {
      answer = *std::exchange(held_answer_, std::nullopt);
    } else {
      answer = sasl_->Answer(reply.text);
    }
    if (!answer.ok()) auth_broke_ = std::string(answer.status().message());
    commands_ = absl::StrCat(answer.ok() ? *answer : "*", "\r\n");
    output_ = {commands_};
    return Want::kWrite;
  }
  if (!auth_broke_.empty()) return Close(auth_broke_);
  if (!reply.Positive()) {
    refusal_ = std::move(reply);
    return Close("");
  }
  const absl::Status proven = std::exchange(sasl_, nullptr)->Succeeded();
  if (!proven.ok()) return Close(std::string(proven.message()));
  state_ = State::kIdle;
  return Want::kIdle;
}

}  // namespace hikyaku::smtp
