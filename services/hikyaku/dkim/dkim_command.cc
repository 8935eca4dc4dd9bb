// `hikyaku dkim keygen|verify`.
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/mime/encoding.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/dkim/key_source.h"
#include "services/hikyaku/dkim/keygen.h"
#include "services/hikyaku/text.h"

namespace hikyaku::cli {
namespace {

struct VerifyFlags {
  std::string file;
  std::string dns;
  std::string zone;
};

constexpr char kKeygenHelp[] =
    R"(Writes SELECTOR.DOMAIN.pem, which only you can read, into the folder, and prints the record for the DNS in the form of a
zone file (strings of at most 255 octets). A file that is there already is left as it is, and the exit code is 1.

Publish the record, wait until every name server has it, then name the selector in the configuration:
  dkim: {folder: /etc/hikyaku/dkim, domains: [{domain: example.com, selectors: [k2026a]}]}

Examples:
  hikyaku dkim keygen example.com --selector k2026a --folder /etc/hikyaku/dkim
  hikyaku dkim keygen example.com --selector e2026a --ed25519 --folder /etc/hikyaku/dkim)";

constexpr char kVerifyHelp[] =
    R"(Says pass, fail, permerror or temperror for each DKIM-Signature of a mail, from the top, and why. Exit code 0: one or more
pass; 1: none does, or there is none; 2: wrong use.

Examples:
  hikyaku dkim verify mail.eml
  hikyaku dkim verify - --dns 192.0.2.53 < mail.eml
  hikyaku dkim verify mail.eml --zone example.com.zone)";

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "hikyaku: %s\n", Printable(status.message(), 500).c_str());
  return code;
}

int RunKeygen(const KeygenOptions& options) {
  const absl::StatusOr<NewKey> made = MakeKey(options);
  if (!made.ok()) return Fail(made.status(), absl::IsInvalidArgument(made.status()) ? kExitUsage : kExitFailed);
  std::fprintf(stderr, "wrote %s\n", made->path.c_str());
  std::printf("%s\n", made->record.c_str());
  return kExitDone;
}

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};

absl::StatusOr<std::string> ReadMail(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdin : std::fopen(path.c_str(), "re"));
  std::string text;
  std::array<char, 64 * 1024> piece;
  std::size_t count = 0;
  while (file != nullptr && (count = std::fread(piece.data(), 1, piece.size(), file.get())) > 0) {
    text.append(piece.data(), count);
  }
  if (file == nullptr || std::ferror(file.get())) {
    return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read: ", std::strerror(errno)));
  }
  // A file whose first line ends with LF alone was written by a program that stores mail so.
  const std::size_t end = text.find('\n');
  const bool bare = end != std::string::npos && (end == 0 || text[end - 1] != '\r');
  return bare ? mime::NormalizeNewlines(text) : text;
}

int RunVerify(const VerifyFlags& flags) {
  const absl::StatusOr<std::string> mail = ReadMail(flags.file);
  if (!mail.ok()) return Fail(mail.status(), kExitUsage);
  const auto keys = flags.zone.empty() ? DnsKeys(flags.dns) : ZoneKeys(flags.zone);
  if (!keys.ok()) return Fail(keys.status(), kExitUsage);
  const DkimReport report = CheckSignatures(*mail, **keys);
  for (const std::string& line : report.lines) std::printf("%s\n", Printable(line, 1000).c_str());
  return report.pass ? kExitDone : kExitFailed;
}

void AddKeygen(CLI::App* app, std::vector<Command>* commands) {
  app->footer(kKeygenHelp);
  const auto options = std::make_shared<KeygenOptions>();
  app->add_option("DOMAIN", options->domain, "Whose mail it signs")->required();
  app->add_option("--selector", options->selector, "A name that this domain has not used for a key yet")->required();
  app->add_option("--folder", options->folder, "Where to put the key")->capture_default_str();
  CLI::Option* ed25519 =
      app->add_flag("--ed25519", options->ed25519, "Ed25519, beside an RSA key: few receivers know it");
  app->add_option("--bits", options->bits, "Of an RSA key")->capture_default_str()->excludes(ed25519);
  commands->push_back({app, [options] { return RunKeygen(*options); }});
}

void AddVerify(CLI::App* app, std::vector<Command>* commands) {
  app->footer(kVerifyHelp);
  const auto flags = std::make_shared<VerifyFlags>();
  app->add_option("FILE", flags->file, "The mail, or - for standard input")->required();
  CLI::Option* zone = app->add_option("--zone", flags->zone, "Take the keys from the TXT records of this zone file");
  app->add_option("--dns", flags->dns, "Ask this server: IP or IP:PORT. Default: the system's")->excludes(zone);
  commands->push_back({app, [flags] { return RunVerify(*flags); }});
}

}  // namespace

void AddDkim(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("dkim", "Make keys that sign mail, check signatures");
  app->require_subcommand(1);
  AddKeygen(app->add_subcommand("keygen", "Make a key, and the DNS record for it"), commands);
  AddVerify(app->add_subcommand("verify", "Check the signatures of a mail"), commands);
}

}  // namespace hikyaku::cli
