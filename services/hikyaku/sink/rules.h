// The script of the test receiver: which recipient, or which address it listens on, gets which answer at which stage.
//
// A rule is SELECTOR=ACTION.
//   SELECTOR  user@domain | user@ | @domain | IP | IP:PORT (that the client connected to) | *
//   ACTION    [first N] [at STAGE] [delay TIME] VERB
//   STAGE     connect | ehlo | mail | rcpt (if not said) | data | dot
//   VERB      accept | reply CODE [ENHANCED] [TEXT] | drop (close without a word) |
//             lose (at dot: take the mail, then close without the reply)
// `first N`: only the first N times for each recipient; afterwards accept. A rule with a delay needs no verb: accept.
// The first rule that fits a stage decides; then the words: a recipient whose local part begins with one of them
// (`soft@`, `soft+1@`, `soft7@`) gets the answer that kWordRules lists.
//
// Threading: Rules is safe from every thread.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SINK_RULES_H_
#define HIKYAKU_SERVICES_HIKYAKU_SINK_RULES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/address/address.h"
#include "lib/net/endpoint.h"
#include "lib/smtp/reply.h"

namespace hikyaku::sink {

enum class Stage { kConnect, kEhlo, kMail, kRcpt, kData, kDot };

// What to do at a stage: wait, then close, or reply, or (nothing set) go on as usual.
struct Answer {
  absl::Duration delay;
  bool drop = false;
  bool lose = false;
  std::optional<smtp::Reply> refusal;  // 4xx or 5xx.
};

struct Rule {
  enum class Selects { kAll, kEndpoint, kAddress, kLocalPart, kDomain, kWord };

  Selects selects = Selects::kAll;
  std::string text;        // Address, local part, domain or word; for kEndpoint the IP.
  std::uint16_t port = 0;  // For kEndpoint; 0 is any.
  int first = 0;           // 0: always.
  Stage stage = Stage::kRcpt;
  Answer answer;
};

// kInvalidArgument says what is wrong with the text, and what was expected.
absl::StatusOr<Rule> ParseRule(absl::string_view text);

// The words and their actions.
extern const std::vector<std::pair<std::string, std::string>> kWordRules;

class Rules {
 public:
  // `words`: also those of kWordRules.
  Rules(std::vector<Rule> rules, bool words);

  // `recipients`: none at the first three stages, one at RCPT, those accepted at DATA and at the dot.
  Answer At(Stage stage, const net::Endpoint& local, absl::Span<const address::Address> recipients);

 private:
  // Bounds what `first N` remembers; recipients beyond it are accepted.
  static constexpr std::size_t kMaxCounts = 1'000'000;

  bool Exhausted(std::size_t rule, const std::string& key);

  std::vector<Rule> rules_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::pair<std::size_t, std::string>, int> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hikyaku::sink

#endif  // HIKYAKU_SERVICES_HIKYAKU_SINK_RULES_H_
