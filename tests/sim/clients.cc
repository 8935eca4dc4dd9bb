#include "tests/sim/clients.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "hikyaku/v1/mail.pb.h"
#include "lib/net/deadline.h"
#include "tests/sim/secrets.h"

namespace hikyaku::sim {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr int kTries = 6;

// Reads one reply, maybe of several lines: its code; 0: the connection is gone.
awaitable<int> ReadReply(net::Stream& stream, std::string& buffer) {
  while (true) {
    for (std::size_t end = buffer.find("\r\n"); end != std::string::npos; end = buffer.find("\r\n")) {
      const std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 2);
      if (line.size() >= 3 && (line.size() == 3 || line[3] == ' ')) co_return std::stoi(line.substr(0, 3));
    }
    char bytes[1024];
    const auto count = co_await stream.ReadSome(bytes, sizeof bytes, kLimit);
    if (!count.ok()) co_return 0;
    buffer.append(bytes, *count);
  }
}

// One command and its reply.
awaitable<int> Say(net::Stream& stream, std::string& buffer, std::string command) {
  const absl::Status written = co_await stream.WriteAll(command, kLimit);
  if (!written.ok()) co_return 0;
  const int code = co_await ReadReply(stream, buffer);
  co_return code;
}

// Mail that requires TLS goes to where it may arrive, as a rule: to signed domains, or by MTA-STS.
std::string DrawDomain(Random& random, bool requires_tls) {
  constexpr std::array kCertain = {2, 9, 10, 11, 12, 14};
  if (requires_tls && random.Chance(0.8)) return DomainName(kCertain[random.Below(kCertain.size())]);
  return DomainName(static_cast<int>(random.Below(kDomains)));
}

std::string Stuffed(const std::string& data) {
  std::string out = absl::StrReplaceAll(data, {{"\r\n.", "\r\n.."}});
  return out[0] == '.' ? "." + out : out;
}

}  // namespace

struct Clients::Letter {
  std::string token;
  std::vector<std::string> recipients;
  std::string data;  // The whole message as the client has it.
  std::string sender;
  std::string notify;  // What follows RCPT.
  bool smtp = false;
  v1::SendMailRequest request;
  int attempt = 0;
  bool done = false;

  bool keyed() const { return !request.idempotency_key().empty(); }
};

Clients::Clients(World& world, Books& books, std::vector<std::unique_ptr<FrontEnd>>& front_ends)
    : world_(world), books_(books), front_ends_(front_ends) {}

Clients::~Clients() {
  group_.Cancel();
  world_.Settle();
}

void Clients::Start(int mails, absl::Duration time) {
  open_ += mails;
  for (int i = 0; i < mails; ++i) {
    world_.After(world_.random.Between(absl::ZeroDuration(), time), [this] { Send(Write()); });
  }
}

std::shared_ptr<Clients::Letter> Clients::Write() {
  Random& random = world_.random;
  auto letter = std::make_shared<Letter>();
  letter->token = absl::StrCat("t", ++count_);
  letter->smtp = random.Chance(0.4);
  const bool requires_tls = !letter->smtp && random.Chance(0.2);
  const int domains = random.Chance(0.5) ? 1 : 1 + static_cast<int>(random.Below(4));
  for (int i = 0; i < domains; ++i) {
    const std::string domain = DrawDomain(random, requires_tls);
    const int users = 1 + static_cast<int>(random.Below(3));
    for (int k = 0; k < users; ++k) letter->recipients.push_back(absl::StrCat("u", count_, "-", i, k, "@", domain));
  }
  std::string payload = absl::StrCat(".of ", letter->token, "\r\n");
  const std::size_t size = random.Chance(0.05) ? random.Below(200'000) : random.Below(2'000);
  while (payload.size() < size) absl::StrAppend(&payload, random.Chance(0.1) ? "." : "", random.Next(), "\r\n");
  const char* const author = random.Chance(0.8) ? kSignedDomain : "other.test";
  const bool waives = random.Chance(0.15);
  letter->data = absl::StrCat("From: s@", author, "\r\nSubject: ", letter->token,
                              "\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nTo: undisclosed:;\r\n",
                              waives ? "TLS-Required: No\r\n" : "", "\r\n", payload);
  v1::SendMailRequest& request = letter->request;
  request.mutable_raw()->set_data(letter->data);
  for (const std::string& recipient : letter->recipients) request.mutable_raw()->add_recipients(recipient);
  // Its failures are told to an address that the mail hosts serve, with all their moods.
  letter->sender = absl::StrCat("s@", DomainName(count_ % kDomains));
  request.set_envelope_sender(letter->sender);
  request.set_priority(static_cast<v1::Priority>(random.Below(4)));
  request.set_tenant(random.Chance(0.5) ? "a" : "b");
  bool hurried = false;
  if (!letter->smtp && random.Chance(0.1)) {
    request.mutable_not_before()->set_seconds(absl::ToUnixSeconds(world_.wall()) + 1 + random.Below(30));
  }
  request.set_require_tls(requires_tls);
  // Where no host can be sure, mail that requires TLS waits until its time is up.
  if (requires_tls || (!letter->smtp && random.Chance(0.05))) {
    request.mutable_deliver_by()->set_seconds(absl::ToUnixSeconds(world_.wall()) + (requires_tls ? 20 : 60) +
                                              static_cast<std::int64_t>(random.Below(requires_tls ? 40 : 60)));
    hurried = true;
  }
  if (!letter->smtp && random.Chance(0.5)) request.set_idempotency_key(letter->token);
  const Wish wish = DrawWish(random, *letter);
  const SenderTls tls = requires_tls ? SenderTls::kRequired : waives ? SenderTls::kWaived : SenderTls::kNone;
  books_.NoteMail(letter->token, {letter->recipients, payload, letter->keyed(), hurried, wish, tls});
  return letter;
}

// Who says nothing hears of failure and delay by SMTP, and of nothing by gRPC.
Wish Clients::DrawWish(Random& random, Letter& letter) {
  Wish wish;
  const std::uint64_t dice = random.Below(4);
  if (dice == 0) {
    letter.notify = " NOTIFY=NEVER";
    return wish;
  }
  wish.failure = wish.delay = true;
  if (dice == 1) {
    letter.request.mutable_dsn();
    return wish;
  }
  if (dice == 2) {
    if (!letter.smtp) wish = {};
    return wish;
  }
  const std::uint64_t some = 1 + random.Below(7);
  wish.success = (some & 1) != 0;
  wish.failure = (some & 2) != 0;
  wish.delay = (some & 4) != 0;
  letter.notify = absl::StrCat(" NOTIFY=", wish.success ? "SUCCESS," : "", wish.failure ? "FAILURE," : "",
                               wish.delay ? "DELAY," : "");
  letter.notify.pop_back();
  letter.request.mutable_dsn()->set_notify_success(wish.success);
  letter.request.mutable_dsn()->set_notify_failure(wish.failure);
  letter.request.mutable_dsn()->set_notify_delay(wish.delay);
  return wish;
}

void Clients::Send(const std::shared_ptr<Letter>& letter) {
  const int attempt = ++letter->attempt;
  world_.Trace("client sends ", letter->token, letter->smtp ? " by SMTP" : letter->keyed() ? " with a key" : "");
  if (letter->smtp) {
    std::unique_ptr<net::Stream> stream = Any().Connect();
    if (stream == nullptr) return OnAnswer(letter, attempt, absl::UnavailableError("refused"));
    group_.Spawn(world_.executor(), SendBySmtp(this, letter, std::move(stream)));
    return;
  }
  Any().Send(letter->request, [this, letter, attempt](absl::StatusOr<v1::SendMailResponse> response) {
    OnAnswer(letter, attempt, response.status());
  });
  if (!letter->keyed()) return;
  // Its patience is short at times: then the next try meets the first one, which is still under way.
  world_.After(world_.random.Between(absl::Seconds(3), absl::Seconds(60)),
               [this, letter, attempt] { OnAnswer(letter, attempt, absl::AbortedError("gave up")); });
}

void Clients::OnAnswer(const std::shared_ptr<Letter>& letter, int attempt, absl::Status status) {
  if (letter->done || attempt != letter->attempt) return;
  world_.Trace("client hears of ", letter->token, ": ", absl::StatusCodeToString(status.code()));
  // By a front-end whose clock is wrong, it may be too late.
  const bool late = absl::IsInvalidArgument(status) && letter->request.has_deliver_by();
  const bool refused = late || absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
  const bool doubt = absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
  if (!status.ok() && !refused && !doubt) {
    books_.Problem(absl::StrCat("an answer that nobody expects: ", letter->token, ": ", status.ToString()));
  }
  // Of a keyed request a part may be queued although it was refused.
  books_.NoteAnswer(letter->token, status.ok()                   ? Answer::kAccepted
                                   : refused && !letter->keyed() ? Answer::kRefused
                                                                 : Answer::kUnknown);
  if (status.ok() || !letter->keyed() || letter->attempt == kTries) {
    letter->done = true;
    --open_;
    return;
  }
  world_.After(world_.random.Between(absl::Milliseconds(100), absl::Seconds(8)), [this, letter] { Send(letter); });
}

awaitable<void> Clients::SendBySmtp(Clients* clients, std::shared_ptr<Letter> letter,
                                    std::unique_ptr<net::Stream> stream) {
  std::string buffer;
  int code = co_await ReadReply(*stream, buffer);
  if (code == 220) code = co_await Say(*stream, buffer, "EHLO client.test\r\n");
  if (code == 250) code = co_await Say(*stream, buffer, absl::StrCat("MAIL FROM:<", letter->sender, ">\r\n"));
  for (std::size_t i = 0; i < letter->recipients.size() && code == 250; ++i) {
    std::string rcpt = absl::StrCat("RCPT TO:<", letter->recipients[i], ">", letter->notify, "\r\n");
    code = co_await Say(*stream, buffer, std::move(rcpt));
  }
  if (code == 250) code = co_await Say(*stream, buffer, "DATA\r\n");
  bool sent = false;
  if (code == 354) {
    sent = true;
    std::string text = absl::StrCat(Stuffed(letter->data), ".\r\n");
    code = co_await Say(*stream, buffer, std::move(text));
  }
  absl::Status status = absl::UnavailableError("refused");
  if (sent && code == 250) status = absl::OkStatus();
  // 451 is said of what is not known, too.
  if (sent && (code == 0 || code == 451)) status = absl::DeadlineExceededError("in doubt");
  if (code >= 500) status = absl::InternalError(absl::StrCat("SMTP said ", code));
  clients->OnAnswer(letter, letter->attempt, std::move(status));
}

}  // namespace hikyaku::sim
