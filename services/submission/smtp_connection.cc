#include "services/submission/smtp_connection.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/net/resume.h"
#include "lib/submission/stats.h"
#include "services/submission/smtp_replies.h"

namespace hikyaku::submission {
namespace {

using smtp::Reply;
using Want = smtp::ServerSession::Want;
using State = smtp::ServerSession::State;

constexpr std::size_t kReadBytes = 32 * 1024;

// Held for a message whose size is not declared, until more of it has come.
constexpr std::uint64_t kFirstHold = 16 * 1024;

// One who waits for its client looks so often whether it has become crowded.
constexpr absl::Duration kLookAgain = absl::Seconds(30);

constexpr char kNoRoom[] = "Insufficient system storage, try again later";

smtp::ServerOptions SessionOptions(const SmtpSettings& settings, const net::Endpoint& client) {
  smtp::ServerOptions options = settings.session;
  options.may_relay = IsTrusted(settings, client.address);
  return options;
}

// The recipients without repetition; of one that was named twice, the first wishes hold.
void SetRecipients(const std::vector<smtp::Recipient>& recipients, Mail* mail) {
  absl::flat_hash_set<address::Address> seen;
  bool any = false;
  for (const smtp::Recipient& recipient : recipients) {
    if (!seen.insert(recipient.address).second) continue;
    mail->recipients.push_back(recipient.address);
    mail->wishes.push_back({recipient.notify, recipient.original_recipient});
    any |= recipient.notify != 0 || !recipient.original_recipient.empty();
  }
  if (!any) mail->wishes.clear();
}

// Whoever may relay is known, and may be told. Anybody else may have forged the sender.
ReportWishes WishesOf(const smtp::Transaction& transaction, bool trusted) {
  ReportWishes wishes{storage::v1::SENDER_REPORTS_NOT_ASKED, transaction.returned, transaction.envelope_id};
  if (transaction.sender.empty()) return wishes;
  wishes.sender = trusted ? storage::v1::SENDER_REPORTS_WANTED : storage::v1::SENDER_REPORTS_DENIED;
  return wishes;
}

class Connection : private smtp::ServerPolicy {
 public:
  Connection(std::unique_ptr<net::Stream> stream, std::shared_ptr<const SmtpSettings> settings, SmtpDoors doors)
      : stream_(std::move(stream)),
        settings_(std::move(settings)),
        doors_(doors),
        session_(SessionOptions(*settings_, stream_->remote()), this),
        hold_(doors_.budget->Open()) {}

  awaitable<void> Run() {
    Want want = session_.Start();
    for (;;) {
      const bool written = co_await Flush();
      if (!written || want == Want::kClose) break;
      if (want == Want::kDeliver) {
        const Reply reply = co_await Deliver();
        want = session_.Answer(reply);
        hold_.Release();
        continue;
      }
      const std::optional<Want> next = co_await Read();
      if (!next.has_value()) break;
      want = *next;
    }
    stream_->Close();
  }

 private:
  // Writes what the session has to say. False: the connection is gone.
  awaitable<bool> Flush() {
    const std::string output = session_.TakeOutput();
    if (output.empty()) co_return true;
    co_await OutliveCancel();
    said_ = doors_.clock->Now();
    const absl::Status written = co_await stream_->WriteAll(output, Patience());
    co_return written.ok();
  }

  // Reads and feeds once. Nothing: the connection is gone.
  awaitable<std::optional<Want>> Read() {
    co_await OutliveCancel();
    if (doors_.drain->begun() && (!InTransaction() || doors_.clock->Now() >= doors_.drain->until())) {
      co_return session_.ShutDown();
    }
    const absl::Duration limit = ReadLimit();
    if (limit <= absl::ZeroDuration()) co_return session_.TimedOut();
    const absl::Duration wait = std::min(limit, kLookAgain);
    const absl::StatusOr<std::size_t> count = co_await stream_->ReadSome(buffer_.data(), buffer_.size(), wait);
    if (count.ok()) co_return Feed(absl::string_view(buffer_.data(), *count));
    const bool time_is_up = absl::IsDeadlineExceeded(count.status());
    if (time_is_up && wait < limit) co_return Want::kRead;
    // At the end of a drain, and when a cancel wakes us to see that one began, the next round says 421.
    if (doors_.drain->begun() && (time_is_up || absl::IsCancelled(count.status()))) co_return Want::kRead;
    if (time_is_up) co_return session_.TimedOut();
    co_return std::nullopt;
  }

  // The server's stop wakes every wait by a cancel; what is left to say must then still be possible.
  awaitable<void> OutliveCancel() {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none && doors_.drain->begun()) {
      co_await asio::this_coro::reset_cancellation_state();
    }
  }

  Want Feed(absl::string_view bytes) {
    const Want want = session_.Feed(bytes);
    if (ReadingMessage()) {
      message_bytes_ += bytes.size();
      BuyTime(bytes.size());
      if (!hold_.RaiseTo(message_bytes_)) {
        Stats::Smtp().Refused(absl::ResourceExhaustedError(""));
        return session_.Refuse({421, "4.3.1", kNoRoom});
      }
    } else if (want != Want::kDeliver) {
      hold_.Release();
    }
    return want;
  }

  bool ReadingMessage() const { return session_.state() == State::kBody || session_.state() == State::kBdat; }

  bool InTransaction() const {
    return ReadingMessage() || session_.state() == State::kMail || session_.state() == State::kRcpt;
  }

  // How long a client may be silent.
  absl::Duration Patience() const {
    const bool crowded = doors_.admission != nullptr && doors_.admission->crowded();
    return crowded ? std::min(settings_->idle_timeout, kCrowdedTimeout) : settings_->idle_timeout;
  }

  // For bytes of a message.
  void BuyTime(std::size_t bytes) {
    heard_ = doors_.clock->Now();
    const absl::Time most = heard_ + Patience();
    if (settings_->min_data_rate == 0) {
      rate_deadline_ = most;
    } else {
      rate_deadline_ += absl::Seconds(static_cast<double>(bytes) / static_cast<double>(settings_->min_data_rate));
      rate_deadline_ = std::min(rate_deadline_, most);
    }
  }

  absl::Duration ReadLimit() const {
    absl::Time end = said_ + Patience();
    if (ReadingMessage()) end = std::min({rate_deadline_, heard_ + Patience(), data_deadline_});
    if (doors_.drain->begun()) end = std::min(end, doors_.drain->until());
    return end - doors_.clock->Now();
  }

  // The message is complete: gives the answer to its last dot or chunk.
  awaitable<Reply> Deliver() {
    const absl::Time now = doors_.clock->Now();
    smtp::Transaction& transaction = session_.transaction();
    Mail mail;
    mail.id = MessageId::Generate(now);
    mail.sender = transaction.sender;
    SetRecipients(transaction.recipients, &mail);
    mail.reports = WishesOf(transaction, IsTrusted(*settings_, stream_->remote().address));
    auto assembled = AssembleReceived(transaction, stream_->remote().address, mail.id, settings_->assemble);
    if (!assembled.ok()) co_return Refused(assembled.status());
    mail.message = *std::move(assembled);
    const absl::StatusOr<Accepted> accepted =
        co_await net::AwaitCallback<absl::StatusOr<Accepted>>([&](net::Resume<absl::StatusOr<Accepted>> done) {
          doors_.acceptor->Accept(std::move(mail), std::nullopt, std::move(done));
        });
    if (!accepted.ok()) co_return Refused(accepted.status());
    Stats::Smtp().Accepted(doors_.clock->Now() - now);
    Reply reply{250, "2.0.0", absl::StrCat("OK ", accepted->id.text())};
    co_return reply;
  }

  Reply Refused(const absl::Status& status) {
    Stats::Smtp().Refused(status);
    const Reply reply = ReplyFor(status, doors_.drain->begun());
    log::Info("smtp_refused", {{"client", stream_->remote().text()}, {"reply", reply.ToString()}, {"why", status}});
    return reply;
  }

  // ---- smtp::ServerPolicy ----

  std::optional<Reply> CheckMail(const smtp::Transaction&) override {
    if (const std::string reason = doors_.acceptor->NotReady(); !reason.empty()) {
      log::Debug("smtp_not_ready", {{"why", reason}});
      // The reasons name their cause: lib/queue/gate.h, Gate::Judge.
      const bool short_of_room = absl::StrContains(reason, "disk: ") || absl::StrContains(reason, "memory: ");
      const absl::Status why = short_of_room ? absl::ResourceExhaustedError(reason) : absl::UnavailableError(reason);
      Stats::Smtp().Refused(why);
      return ReplyFor(why, doors_.drain->begun());
    }
    // No line in the log for each: there are many.
    if (const absl::Status busy = doors_.acceptor->CheckLoad(); !busy.ok()) {
      Stats::Smtp().Refused(busy);
      return Reply{451, "4.3.2", "Too much mail at once, try again later"};
    }
    return std::nullopt;
  }

  std::optional<Reply> CheckRcpt(const smtp::Transaction&, const address::Address& recipient) override {
    const auto reason = doors_.policy->Refuse(recipient);
    if (!reason.has_value()) return std::nullopt;
    Stats::Smtp().RecipientRefused("policy");
    return submission::RecipientRefused(*reason);
  }

  void MessageRefused(const Reply& reply) override {
    if (reply.code == 552) return Stats::Smtp().TooLarge();
    if (reply.code / 100 == 5) Stats::Smtp().Refused(absl::InvalidArgumentError(""));
  }

  void RecipientRefused(const Reply& reply) override {
    const bool relay = reply.enhanced == "5.7.1";
    Stats::Smtp().RecipientRefused(relay ? "relay" : reply.code == 452 ? "too_many" : "invalid");
  }

  std::optional<Reply> CheckData(const smtp::Transaction& transaction) override {
    message_bytes_ = 0;
    heard_ = doors_.clock->Now();
    rate_deadline_ = heard_ + settings_->idle_timeout;
    data_deadline_ = heard_ + settings_->data_timeout;
    if (hold_.RaiseTo(std::max(transaction.declared_size, kFirstHold))) return std::nullopt;
    Stats::Smtp().Refused(absl::ResourceExhaustedError(""));
    return Reply{452, "4.3.1", kNoRoom};
  }

  const std::unique_ptr<net::Stream> stream_;
  const std::shared_ptr<const SmtpSettings> settings_;
  const SmtpDoors doors_;
  smtp::ServerSession session_;

  std::array<char, kReadBytes> buffer_;
  MemoryBudget::Hold hold_;                  // For the message that is being read or queued.
  std::uint64_t message_bytes_ = 0;          // Of it, so far.
  absl::Time said_ = absl::InfinitePast();   // Our last reply.
  absl::Time heard_ = absl::InfinitePast();  // The message's last bytes.
  absl::Time rate_deadline_ = absl::InfiniteFuture();
  absl::Time data_deadline_ = absl::InfiniteFuture();
};

}  // namespace

awaitable<void> ServeSmtp(std::unique_ptr<net::Stream> stream, std::shared_ptr<const SmtpSettings> settings,
                          SmtpDoors doors) {
  Stats::Smtp().sessions().Increment();
  // On the heap, because of its buffer.
  const auto connection = std::make_unique<Connection>(std::move(stream), std::move(settings), doors);
  co_await connection->Run();
  Stats::Smtp().sessions().Decrement();
}

}  // namespace hikyaku::submission
