// Takes responsibility for a message: its parts are handed to the shards that own its destination domains, in parallel,
// and the answer comes when every one of them has synced. This is where "accepted means durable" is kept across shards.
//
// A shard that is down (kUnavailable: nothing was written) is passed over: its domains go to the next shard of their
// rendezvous order. So is one that is full (kResourceExhausted), when other parts of the message may have been written
// already: a whole message is better than a repeat of half of it.
//
// With an idempotency key, the key has a home shard, owner(tenant NUL key), that decides:
//   all domains are the home's own   one Enqueue with the key's record in the same commit.
//   else                             1. Claim: the home reserves the message id, durably. An earlier try may have done
//   so:
//                                       then its id is ours, the message is assembled anew under it, and every shard is
//                                       asked which domains it has of it already.
//                                    2. Every part that is not the home's, under a part key: a twin of this request at
//                                       another front-end, or a repeat, lands on what is there.
//                                    3. The home's part, maybe empty, with the answer: from here on a repeat is
//                                    answered.
// A crash between any two steps leaves a claimed id, and the client's repeat goes on from where it stopped. While the
// home is down, or any shard that may hold a part of an unfinished try, a keyed request is refused (kUnavailable): the
// key's promise comes before availability. Only two twins at the same moment, one of which spills and one of which does
// not, can make a second copy.
//
// A keyed request whose deliver_by has passed is answered if the key knows an answer, and finished if an earlier try
// was begun (its parts expire in the queue); otherwise it is refused, and the key stays free.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_ACCEPT_H_
#define HIKYAKU_LIB_SUBMISSION_ACCEPT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/mail.pb.h"
#include "lib/address/address.h"
#include "lib/base/clock.h"
#include "lib/base/message_id.h"
#include "lib/dsn/options.h"
#include "lib/submission/assemble.h"
#include "lib/submission/cluster.h"
#include "lib/submission/commit_delay.h"

namespace hikyaku::submission {

// What the sender is to be told by mail (RFC 3461).
struct ReportWishes {
  storage::v1::SenderReports sender = storage::v1::SENDER_REPORTS_NOT_ASKED;
  dsn::Returned returned = dsn::Returned::kUnspecified;
  std::string envelope_id;  // As xtext; empty: none.
};

// The same for one recipient, as lib/dsn/options.h keeps it.
struct RecipientWish {
  std::uint32_t notify = 0;
  std::string original_recipient;
};

// A message that is ready to be queued.
struct Mail {
  MessageId id;  // Its time is the time of acceptance.
  std::string tenant = kDefaultTenant;
  std::string stream;
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> metadata;
  address::Address sender;                   // empty(): the null reverse-path.
  std::vector<address::Address> recipients;  // At least one, none twice.
  ReportWishes reports;
  std::vector<RecipientWish> wishes;               // One for each of `recipients`; or empty: none has any.
  absl::Time not_before = absl::InfinitePast();    // InfinitePast: now.
  absl::Time deliver_by = absl::InfiniteFuture();  // InfiniteFuture: when the queue's lifetime ends.
  v1::Priority priority = v1::PRIORITY_NORMAL;
  bool require_tls = false;  // Goes before what the message's header says of TLS (RFC 8689 §4.1).
  Assembled message;
};

// What makes a request repeatable.
struct Keyed {
  std::string key;          // Of the client; not empty.
  std::string fingerprint;  // Of the request.
  // What a repeat is answered; its message_id and message_id_header are filled in here.
  v1::SendMailResponse response;
  // The same message under another id. Called on a thread of a shard, at most once, before `done`.
  std::function<absl::StatusOr<Assembled>(const MessageId&)> rebuild;
};

struct Accepted {
  MessageId id;
  std::string message_id_header;
  // The answer to an earlier request with this key; this one has queued nothing.
  std::optional<v1::SendMailResponse> replayed;
};

// An answer for each Accept, exactly once, maybe before Accept returns, on a thread of a shard: short, never blocking.
//
// Errors, and what the caller does next:
//   kResourceExhausted  Disk or memory short, with a retry time.     452 4.3.1, RESOURCE_EXHAUSTED.
//   kUnavailable        No shard can take (all of) it, with a time.  451 4.3.0, UNAVAILABLE. A part may be queued.
//   kDeadlineExceeded   A shard did not answer: it may be queued.    451 4.3.0, DEADLINE_EXCEEDED.
//   kAlreadyExists      The key was used for another request.        ALREADY_EXISTS.
//   kInvalidArgument    Keyed, new, and deliver_by has passed.       INVALID_ARGUMENT, with its field.
//   any other           Our own fault; logged.                       451 4.3.0, INTERNAL.
using AcceptDone = absl::AnyInvocable<void(absl::StatusOr<Accepted>)>;

// The interface, so that front-ends can be tested without shards.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual void Accept(Mail mail, std::optional<Keyed> keyed, AcceptDone done) = 0;

  // Empty: some shard takes new mail. Otherwise why none does. Costs nothing: a front-end asks before it reads a
  // message.
  virtual std::string NotReady() const = 0;

  // Ok, or kResourceExhausted with a retry time: what was taken waits too long already (CommitDelay), so that the
  // client is told before its message is read. Counts who is told.
  virtual absl::Status CheckLoad() = 0;
};

class ShardAcceptor : public Acceptor {
 public:
  // Both, and the acceptor, must outlive every answer.
  ShardAcceptor(const Cluster* cluster, Clock* clock) : cluster_(cluster), clock_(clock) {}

  void Accept(Mail mail, std::optional<Keyed> keyed, AcceptDone done) override;
  std::string NotReady() const override;
  absl::Status CheckLoad() override;

 private:
  class Operation;

  const Cluster* const cluster_;
  Clock* const clock_;
  CommitDelay delay_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_ACCEPT_H_
