// Asks every shard the same, in parallel, and goes on when all have answered or failed.
//
// Threading: `ask` runs on the caller's thread; `done` once, on the thread of the last answer.
#ifndef HIKYAKU_SERVICES_SUBMISSION_FAN_OUT_H_
#define HIKYAKU_SERVICES_SUBMISSION_FAN_OUT_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "lib/queue/shard.h"

namespace hikyaku::submission {

template <typename Response>
struct ShardAnswer {
  std::string shard;
  absl::StatusOr<Response> response;
};

template <typename Response>
using ShardAnswers = std::vector<ShardAnswer<Response>>;

// ask(shard, done) starts the question; the answers are in the order of `shards`.
template <typename Response, typename Ask>
void FanOut(const std::vector<queue::Shard*>& shards, Ask ask, absl::AnyInvocable<void(ShardAnswers<Response>)> done) {
  struct Gathering {
    ShardAnswers<Response> answers;
    std::atomic<std::size_t> missing;
    absl::AnyInvocable<void(ShardAnswers<Response>)> done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = shards.size();
  gathering->done = std::move(done);
  for (const queue::Shard* shard : shards) {
    gathering->answers.push_back({std::string(shard->name()), absl::UnknownError("no answer yet")});
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    ask(*shards[i], queue::Done<Response>([gathering, i](absl::StatusOr<Response> response) {
      gathering->answers[i].response = std::move(response);
      if (gathering->missing.fetch_sub(1) == 1) gathering->done(std::move(gathering->answers));
    }));
  }
}

// Names the shards that failed in `merged`, or gives the first failure when none answered.
template <typename Part, typename Response>
absl::Status NoteMissing(const ShardAnswers<Part>& answers, Response* merged) {
  absl::Status first;
  bool any = false;
  for (const ShardAnswer<Part>& answer : answers) {
    any = any || answer.response.ok();
    if (answer.response.ok()) continue;
    merged->add_missing_shards(answer.shard);
    first.Update(answer.response.status());
  }
  return any ? absl::OkStatus() : first;
}

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_FAN_OUT_H_
