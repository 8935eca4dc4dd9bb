// `hikyaku sink`: the test receiver.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/small_file.h"
#include "lib/base/status_macros.h"
#include "lib/base/units.h"
#include "lib/net/endpoint.h"
#include "lib/net/io_pool.h"
#include "lib/net/listener.h"
#include "lib/tls/context.h"
#include "lib/tls/make_certificate.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/dkim/key_source.h"
#include "services/hikyaku/sink/connection.h"
#include "services/hikyaku/sink/keeper.h"
#include "services/hikyaku/sink/rules.h"
#include "services/hikyaku/sink/session.h"

namespace hikyaku::cli {
namespace {

constexpr std::size_t kLargestPem = 256 << 10;

struct SinkFlags {
  std::vector<std::string> listen = {"127.0.0.1:2526"};
  std::vector<std::string> rules;
  bool no_words = false;
  bool count_only = false;
  bool no_8bitmime = false;
  bool no_chunking = false;
  bool no_pipelining = false;
  bool no_smtputf8 = false;
  std::string size = "100MiB";
  int threads = 2;
  std::uint64_t until = 0;
  std::string dkim_dns;
  bool tls = false;
  bool implicit_tls = false;
  std::string tls_certificate, tls_key;
  sink::SessionOptions session;
  sink::KeeperOptions keeper;
};

std::string Examples() {
  std::string text = R"(Takes every mail, unless a rule says otherwise, and prints it. For tests: it relays nothing.

Rules: --rule 'SELECTOR=ACTION', the first that fits decides.
  SELECTOR  user@domain, user@, @domain, IP or IP:PORT (that the client connected to), or *
  ACTION    [first N] [at STAGE] [delay TIME] VERB
  STAGE     connect, ehlo, mail, rcpt (if not said), data, dot
  VERB      accept; reply CODE [ENHANCED] TEXT; drop (close without a word);
            lose (at dot: take the mail, close without the reply)
  "first N" answers so N times for each recipient, and accepts afterwards.

Without a rule, the word that a local part begins with (soft@, soft+7@, soft3@) decides:
)";
  for (const auto& [word, action] : sink::kWordRules) absl::StrAppend(&text, "  ", word, "@  ", action, "\n");
  return text + R"(
Examples:
  hikyaku sink --listen 127.0.0.1:2526 --maildir /tmp/mail
  hikyaku sink --rule 'bob@ok.test=first 2 reply 451 4.3.0 later' --rule '@gone.test=reply 550 5.1.1 no such user'
  hikyaku sink --listen 127.0.0.1:2526 --listen 127.0.0.2:2526 --rule '127.0.0.1=at connect reply 421 4.3.2 down'
  hikyaku sink --log /tmp/sink.log --fsync --count-only
  hikyaku sink --tls --listen 127.0.0.1:2526      (offers STARTTLS; the certificate is made at the start, for --hostname)
)";
}

int Usage(const absl::Status& status) {
  std::fprintf(stderr, "hikyaku sink: %s\n", std::string(status.message()).c_str());
  return kExitUsage;
}

absl::StatusOr<sink::Rules*> MakeRules(const SinkFlags& flags, std::unique_ptr<sink::Rules>* owner) {
  std::vector<sink::Rule> rules;
  for (const std::string& text : flags.rules) {
    absl::StatusOr<sink::Rule> rule = sink::ParseRule(text);
    if (!rule.ok()) return rule.status();
    rules.push_back(*std::move(rule));
  }
  *owner = std::make_unique<sink::Rules>(std::move(rules), !flags.no_words);
  return owner->get();
}

// Given by files, or made here for the hostname: then nobody can trust it, which is what most senders do not ask for.
absl::StatusOr<tls::Identity> IdentityOf(const SinkFlags& flags) {
  if (flags.tls_certificate.empty()) {
    tls::CertificateRequest request;
    request.common_name = flags.session.hostname;
    request.dns_names = {flags.session.hostname};
    request.not_before = absl::Now() - absl::Hours(1);
    request.not_after = absl::Now() + absl::Hours(24 * 365);
    return tls::MakeCertificate(request);
  }
  tls::Identity identity;
  for (const auto& [path, text] : {std::pair(&flags.tls_certificate, &identity.certificate),
                                   std::pair(&flags.tls_key, &identity.key)}) {
    auto file = ReadSmallFile(*path, kLargestPem);
    if (!file.ok()) return absl::InvalidArgumentError(absl::StrCat(*path, " ", file.status().message()));
    *text = std::move(file->text);
  }
  return identity;
}

// Null: no TLS.
absl::StatusOr<std::shared_ptr<const tls::ServerContext>> TlsOf(const SinkFlags& flags) {
  if (flags.tls_certificate.empty() != flags.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-certificate and --tls-key go together");
  }
  if (!flags.tls && !flags.implicit_tls && flags.tls_certificate.empty()) return nullptr;
  ASSIGN_OR_RETURN(const tls::Identity identity, IdentityOf(flags));
  return tls::ServerContext::Create(identity.certificate, identity.key);
}

absl::StatusOr<std::vector<std::unique_ptr<net::Listener>>> Listen(const SinkFlags& flags, const sink::Shared* shared,
                                                                   net::IoPool& pool) {
  std::vector<std::unique_ptr<net::Listener>> listeners;
  for (const std::string& address : flags.listen) {
    const absl::StatusOr<net::Endpoint> at = net::ParseEndpoint(address);
    if (!at.ok()) return at.status();
    absl::StatusOr<std::unique_ptr<net::Listener>> listener = net::Listener::Start(
        pool, {.at = *at, .refusal = nullptr},
        [shared](std::unique_ptr<net::Stream> stream) { return sink::Serve(shared, std::move(stream)); });
    if (!listener.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(address, ": ", std::string(listener.status().message())));
    }
    std::printf("listening on %s\n", (*listener)->bound().text().c_str());
    listeners.push_back(*std::move(listener));
  }
  std::fflush(stdout);
  return listeners;
}

// A signal, or so many mails (0: however many).
void WaitForEnd(const sigset_t& stop, std::uint64_t until, const sink::Counts& counts) {
  const timespec look_every{0, 10'000'000};
  while (true) {
    if (sigtimedwait(&stop, nullptr, &look_every) > 0) return;
    if (until > 0 && counts.mails.load() >= until) return;
  }
}

int RunSink(SinkFlags flags) {
  const absl::StatusOr<std::uint64_t> size = ParseSize(flags.size);
  if (!size.ok()) return Usage(size.status());
  flags.session.max_size = *size;
  flags.session.eight_bit = !flags.no_8bitmime;
  flags.session.chunking = !flags.no_chunking;
  flags.session.pipelining = !flags.no_pipelining;
  flags.session.smtputf8 = !flags.no_smtputf8;
  flags.keeper.print = !flags.count_only;

  // Blocked before the first thread starts, so that none of them takes the signal away from sigwait.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  std::unique_ptr<KeySource> keys;
  if (!flags.dkim_dns.empty()) {
    auto made = DnsKeys(flags.dkim_dns);
    if (!made.ok()) return Usage(made.status());
    keys = *std::move(made);
    flags.keeper.dkim = [&keys](absl::string_view message) { return CheckSignatures(message, *keys).lines; };
  }
  std::unique_ptr<sink::Rules> rules;
  if (const auto made = MakeRules(flags, &rules); !made.ok()) return Usage(made.status());
  const absl::StatusOr<std::unique_ptr<sink::Keeper>> keeper = sink::Keeper::Open(flags.keeper);
  if (!keeper.ok()) return Usage(keeper.status());
  const auto tls = TlsOf(flags);
  if (!tls.ok()) return Usage(tls.status());
  flags.session.starttls = *tls != nullptr && !flags.implicit_tls;
  const sink::Shared shared{.options = flags.session,
                            .rules = rules.get(),
                            .keeper = keeper->get(),
                            .tls = *tls,
                            .implicit_tls = flags.implicit_tls};
  net::IoPool pool(std::max(1, flags.threads));
  auto listeners = Listen(flags, &shared, pool);
  if (!listeners.ok()) return Usage(listeners.status());

  WaitForEnd(stop, flags.until, (*keeper)->counts());
  if (flags.until > 0) {
    std::printf("%s\n", (*keeper)->CountsText().c_str());
    std::fflush(stdout);
  }
  for (const auto& listener : *listeners) listener->Stop();
  for (const auto& listener : *listeners) listener->Drain(absl::Milliseconds(200));
  listeners->clear();
  if (flags.until == 0) std::printf("%s\n", (*keeper)->CountsText().c_str());
  return kExitDone;
}

}  // namespace

void AddSink(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("sink", "A receiver for tests: scripted answers, saves and counts the mail");
  app->footer(Examples());
  const auto flags = std::make_shared<SinkFlags>();
  app->add_option("--listen", flags->listen, "IP:PORT; may be given again; port 0 takes a free one")
      ->allow_extra_args(false)
      ->capture_default_str();
  app->add_option("--rule", flags->rules, "A rule, see below; may be given again")->allow_extra_args(false);
  app->add_flag("--no-words", flags->no_words, "No meaning in local parts: only the rules count");
  app->add_option("--maildir", flags->keeper.maildir, "Save each mail here, byte for byte");
  app->add_option("--log", flags->keeper.log, "Append a line of JSON for each mail");
  app->add_option("--token-header", flags->keeper.token_header, "The header field for \"token\" in the log")
      ->capture_default_str();
  app->add_flag("--fsync", flags->keeper.fsync, "Sync mail and log before the 250");
  app->add_option("--until", flags->until, "End after so many mails; 0: only by a signal")->capture_default_str();
  app->add_flag("--count-only", flags->count_only, "No line a mail: only the counts at the end");
  app->add_option(
      "--dkim-dns", flags->dkim_dns,
      "Check the DKIM signatures of each mail before its 250, with keys from this DNS server: IP or IP:PORT");
  app->add_flag("--tls", flags->tls, "Offer STARTTLS, with a certificate made now for --hostname unless files are given");
  app->add_flag("--tls-implicit", flags->implicit_tls, "Speak TLS from the first octet, as port 465 does");
  app->add_option("--tls-certificate", flags->tls_certificate, "PEM file: the certificate, then what issued it; implies --tls");
  app->add_option("--tls-key", flags->tls_key, "PEM file: its private key");
  app->add_option("--hostname", flags->session.hostname, "Name in the greeting")->capture_default_str();
  app->add_option("--size", flags->size, "Largest mail")->capture_default_str();
  app->add_option("--recipients", flags->session.max_recipients, "Most recipients of a mail")->capture_default_str();
  app->add_flag("--no-8bitmime", flags->no_8bitmime, "Do not offer 8BITMIME");
  app->add_flag("--no-chunking", flags->no_chunking, "Do not offer CHUNKING");
  app->add_flag("--no-pipelining", flags->no_pipelining, "Do not offer PIPELINING, and note who does it nevertheless");
  app->add_flag("--no-smtputf8", flags->no_smtputf8, "Do not offer SMTPUTF8");
  app->add_option("--threads", flags->threads, "Threads for connections")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  commands->push_back({app, [flags] { return RunSink(*flags); }});
}

}  // namespace hikyaku::cli
