#include "tests/sim/mail_hosts.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/net/memory_stream.h"
#include "lib/net/sleep.h"
#include "lib/tls/tls_stream.h"
#include "tests/sim/secrets.h"
#include "tests/sim/sim_resolver.h"

namespace hikyaku::sim {
namespace {

constexpr absl::Duration kForEver = absl::Hours(1);

// With what a host in such a state begins a handshake.
Certificate CertificateOf(HostFaults::Tls tls) {
  switch (tls) {
    case HostFaults::kSelfSigned: return Certificate::kSelfSigned;
    case HostFaults::kExpired: return Certificate::kExpired;
    default: return Certificate::kGood;
  }
}

// One connection to a host.
class Session {
 public:
  Session(World& world, Books& books, HostFaults& faults, int host, int worker, std::unique_ptr<net::Stream> stream)
      : world_(world), books_(books), faults_(faults), stream_(std::move(stream)) {
    channel_.host = host;
    channel_.worker = worker;
  }

  awaitable<void> Run() {
    const char* const greeting = faults_.mode == HostFaults::kBusy     ? "421 4.3.2 busy"
                                 : faults_.mode == HostFaults::kClosed ? "554 5.3.2 closed"
                                                                       : "220 host.test ESMTP";
    bool open = co_await Answer(greeting);
    open = open && greeting[0] == '2';
    while (open) {
      const std::optional<std::string> line = co_await ReadTo("\r\n");
      if (!line.has_value()) break;
      open = co_await Step(*line);
    }
    if (stream_ != nullptr) stream_->Close();
  }

 private:
  awaitable<bool> Step(const std::string& line) {
    const std::string verb = line.substr(0, 4);
    if (verb == "EHLO") co_return co_await Hello();
    if (verb == "STAR") co_return co_await StartTls();
    if (verb == "MAIL") co_return co_await Mail(line);
    if (verb == "RCPT") co_return co_await Rcpt(line);
    if (verb == "DATA") co_return co_await Data();
    if (verb == "QUIT") {
      co_await Answer("221 2.0.0 bye");
      co_return false;
    }
    if (verb == "RSET") Reset();
    co_return co_await Answer("250 2.0.0 OK");
  }

  awaitable<bool> Hello() {
    Reset();
    channel_.offered = !channel_.tls && faults_.tls != HostFaults::kNotOffered;
    channel_.announces_require_tls = channel_.tls && AnnouncesRequireTls(channel_.host) && !faults_.hides_require_tls;
    if (channel_.tls && !channel_.announces_require_tls) books_.NoteNoRequireTls(channel_.host);
    const char* const starttls = channel_.offered ? "250-STARTTLS\r\n" : "";
    const char* const require_tls = channel_.announces_require_tls ? "250-REQUIRETLS\r\n" : "";
    co_return co_await Answer(
        absl::StrCat("250-host.test\r\n", starttls, require_tls, "250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8"));
  }

  awaitable<bool> StartTls() {
    if (!channel_.offered) co_return co_await Answer("502 5.5.1 not offered");
    if (faults_.tls == HostFaults::kDenied) {
      channel_.offered = false;
      co_return co_await Answer("454 4.7.0 TLS not available");
    }
    const bool ready = co_await Answer("220 2.0.0 go ahead");
    if (!ready) co_return false;
    if (!buffer_.empty()) books_.Problem("a client went on before the handshake");
    const HostFaults::Tls mode = faults_.tls;
    if (mode == HostFaults::kGarbage || mode == HostFaults::kMute) co_return co_await FailHandshake(mode);
    co_return co_await Handshake(mode);
  }

  awaitable<bool> Handshake(HostFaults::Tls mode) {
    // Now and then a host answers as its neighbour.
    const int named = channel_.host + (mode == HostFaults::kWrongName ? 1 : 0);
    const Certificate certificate = CertificateOf(mode);
    tls::Handshake shaken =
        co_await tls::HandshakeAsServer(ContextOf(HostName(named), certificate), std::move(stream_), kForEver);
    if (!shaken.status.ok()) {
      world_.Trace("host ", channel_.host, ": a handshake failed");
      books_.NoteBrokenTls(channel_.worker, channel_.host);
      co_return false;
    }
    stream_ = std::move(shaken.stream);
    Reset();
    channel_.tls = true;
    channel_.certificate = certificate;
    channel_.own_name = named == channel_.host;
    world_.Trace("host ", channel_.host, " speaks TLS", channel_.proved() ? "" : ", unproved");
    co_return true;
  }

  // Until the client has had enough.
  awaitable<bool> FailHandshake(HostFaults::Tls mode) {
    if (mode == HostFaults::kGarbage) co_await stream_->WriteAll("421 4.3.0 what is a handshake?\r\n", kForEver);
    char bytes[4096];
    for (bool open = true; open;) {
      const auto count = co_await stream_->ReadSome(bytes, sizeof bytes, kForEver);
      open = count.ok();
    }
    world_.Trace("host ", channel_.host, ": no handshake");
    books_.NoteBrokenTls(channel_.worker, channel_.host);
    co_return false;
  }

  void Reset() {
    recipients_.clear();
    in_mail_ = false;
  }

  awaitable<bool> Mail(const std::string& line) {
    Reset();
    channel_.says_require_tls = absl::StrContains(line, " REQUIRETLS");
    if (world_.random.Chance(faults_.transient)) co_return co_await Answer("451 4.3.0 not now");
    in_mail_ = true;
    co_return co_await Answer("250 2.1.0 OK");
  }

  awaitable<bool> Rcpt(const std::string& line) {
    const std::size_t from = line.find('<') + 1;
    const std::string recipient = line.substr(from, line.find('>') - from);
    if (!in_mail_) co_return co_await Answer("503 5.5.1 MAIL first");
    if (world_.random.Chance(faults_.transient)) co_return co_await Answer("450 4.2.0 mailbox busy");
    if (world_.random.Chance(faults_.permanent)) {
      books_.NoteRefused(recipient);
      co_return co_await Answer("550 5.1.1 no such user");
    }
    recipients_.push_back(recipient);
    co_return co_await Answer("250 2.1.5 OK");
  }

  awaitable<bool> Data() {
    if (recipients_.empty()) co_return co_await Answer("503 5.5.1 RCPT first");
    if (world_.random.Chance(faults_.transient)) co_return co_await Answer("451 4.3.0 not now");
    const bool go = co_await Answer("354 go on");
    if (!go) co_return false;
    const std::optional<std::string> text = co_await ReadTo("\r\n.\r\n");
    if (!text.has_value()) co_return false;
    co_return co_await EndOfData(*text);
  }

  // From here on the mail is ours, if we say so or not.
  awaitable<bool> EndOfData(const std::string& text) {
    const std::vector<std::string> recipients = std::exchange(recipients_, {});
    in_mail_ = false;
    if (world_.random.Chance(faults_.transient)) co_return co_await Answer("451 4.3.0 try again");
    if (world_.random.Chance(faults_.rejects_mail)) {
      for (const std::string& recipient : recipients) books_.NoteRefused(recipient);
      co_return co_await Answer("554 5.7.1 unwanted");
    }
    const bool lost = world_.random.Chance(faults_.loses_reply);
    // An answer that never comes is lost, too; so it is drawn here whether this one will be.
    const bool hang = !lost && world_.random.Chance(faults_.hangs);
    const bool reset = !lost && !hang && world_.random.Chance(faults_.resets);
    world_.Trace("host took ", TokenOf(text), " for ", recipients.size(), lost || hang || reset ? ", reply lost" : "");
    books_.NoteTaken(channel_, Unstuffed(text), recipients, lost || hang || reset);
    if (hang) co_await net::Sleep(kForEver);
    if (lost || hang || reset) co_return false;
    co_await Pause();
    const absl::Status written = co_await stream_->WriteAll("250 2.0.0 taken\r\n", kForEver);
    // Whoever hung up meanwhile did not hear it.
    co_return written.ok();
  }

  static std::string Unstuffed(const std::string& text) {
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
      if (text[at] == '.') ++at;
      const std::size_t end = text.find("\r\n", at);
      const std::size_t next = end == std::string::npos ? text.size() : end + 2;
      out.append(text, at, next - at);
      at = next;
    }
    return out;
  }

  awaitable<void> Pause() {
    absl::Duration pause = world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(30));
    if (world_.random.Chance(faults_.slow)) pause = world_.random.Between(absl::Seconds(1), absl::Seconds(15));
    co_await net::Sleep(pause);
  }

  // False: the connection ends.
  awaitable<bool> Answer(std::string reply) {
    if (world_.random.Chance(faults_.hangs)) co_await net::Sleep(kForEver);
    if (world_.random.Chance(faults_.resets)) co_return false;
    co_await Pause();
    reply += "\r\n";
    const absl::Status written = co_await stream_->WriteAll(reply, kForEver);
    co_return written.ok();
  }

  // Up to and with `end`, of which the first CRLF stays; nothing: the client is gone.
  awaitable<std::optional<std::string>> ReadTo(absl::string_view end) {
    std::size_t searched = 0;
    while (true) {
      // An empty message is a dot on the first line.
      if (end.size() > 2 && absl::StartsWith(buffer_, ".\r\n")) {
        buffer_.erase(0, 3);
        co_return std::string();
      }
      const std::size_t at = buffer_.find(end.data(), searched, end.size());
      if (at != std::string::npos) {
        std::string found = buffer_.substr(0, end.size() > 2 ? at + 2 : at);
        buffer_.erase(0, at + end.size());
        co_return found;
      }
      searched = buffer_.size() < 4 ? 0 : buffer_.size() - 4;
      char bytes[4096];
      const auto count = co_await stream_->ReadSome(bytes, sizeof bytes, kForEver);
      if (!count.ok()) co_return std::nullopt;
      buffer_.append(bytes, *count);
    }
  }

  World& world_;
  Books& books_;
  HostFaults& faults_;
  Channel channel_;
  std::unique_ptr<net::Stream> stream_;  // Null after a handshake that failed.
  std::string buffer_;
  std::vector<std::string> recipients_;
  bool in_mail_ = false;
};

awaitable<void> RunSession(std::unique_ptr<Session> session) { co_await session->Run(); }

}  // namespace

MailHosts::MailHosts(World& world, Books& books, Mutant::Kind mutant)
    : world_(world), books_(books), hosts_(kHosts), policy_hosts_(world, books, mutant) {
  books_.dns().NoteZones(&zones_);
  HealAll();
}

MailHosts::~MailHosts() {
  group_.Cancel();
  world_.Settle();
}

void MailHosts::HealAll() {
  for (Host& host : hosts_) host.faults = {};
  policy_hosts_.HealAll();
  zones_.HealAll();
}

void MailHosts::Serve(int host, int worker, std::unique_ptr<net::Stream> stream) {
  books_.tls_reports().NoteConnection(worker, host);
  group_.Spawn(world_.executor(), RunSession(std::make_unique<Session>(world_, books_, hosts_[host].faults, host,
                                                                       worker, std::move(stream))));
}

int MailHosts::HostAt(const net::Endpoint& endpoint) {
  for (int i = 0; i < kHosts; ++i) {
    if (endpoint.address == HostAddress(i)) return i;
  }
  return -1;
}

// To the policy host of a domain.
awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> SimDialer::DialPolicyHost(net::Endpoint to, int domain) {
  CO_RETURN_IF_ERROR(co_await net::Sleep(world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(40))));
  if (hosts_.policy_hosts_.fault(domain) == PolicyFault::kRefuses) co_return absl::UnavailableError("refused");
  auto [ours, theirs] = net::MakeMemoryPair(world_.executor(), net::Endpoint{HostAddress(200), 40000}, to);
  hosts_.policy_hosts_.Serve(domain, worker_, std::move(theirs), hosts_.group_);
  co_return std::move(ours);
}

awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> SimDialer::Dial(net::Endpoint to, net::DialOptions options) {
  for (int i = 0; i < kDomains; ++i) {
    if (to.address == PolicyAddress(i)) co_return co_await DialPolicyHost(to, i);
  }
  const int host = MailHosts::HostAt(to);
  if (host < 0) co_return absl::UnavailableError("no route to host");
  const HostFaults::Mode mode = hosts_.faults(host).mode;
  const absl::Duration way = world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(40));
  CO_RETURN_IF_ERROR(co_await net::Sleep(mode == HostFaults::kSilent ? options.limit : way));
  if (mode == HostFaults::kSilent) co_return absl::DeadlineExceededError("no answer");
  if (mode == HostFaults::kRefuses) co_return absl::UnavailableError("Connection refused");
  auto [ours, theirs] = net::MakeMemoryPair(world_.executor(), net::Endpoint{HostAddress(200), 40000}, to);
  hosts_.Serve(host, worker_, std::move(theirs));
  co_return std::move(ours);
}

}  // namespace hikyaku::sim
