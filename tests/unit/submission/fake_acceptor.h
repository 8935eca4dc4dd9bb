// An acceptor that answers as a test says, and keeps what it got.
#ifndef HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_ACCEPTOR_H_
#define HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_ACCEPTOR_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/submission/accept.h"

namespace hikyaku::submission {

class FakeAcceptor : public Acceptor {
 public:
  void Accept(Mail mail, std::optional<Keyed> keyed, AcceptDone done) override {
    Accepted accepted{mail.id, mail.message.message_id_header, std::nullopt};
    mails.push_back(std::move(mail));
    keys.push_back(std::move(keyed));
    if (hold) {
      held.push_back([done = std::move(done), accepted]() mutable { done(std::move(accepted)); });
      return;
    }
    if (!answer.ok()) return done(answer);
    done(std::move(accepted));
  }

  std::string NotReady() const override { return not_ready; }
  absl::Status CheckLoad() override { return load; }

  std::vector<Mail> mails;
  std::vector<std::optional<Keyed>> keys;
  absl::Status answer;
  std::string not_ready;
  absl::Status load;
  bool hold = false;
  std::vector<absl::AnyInvocable<void()>> held;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_ACCEPTOR_H_
