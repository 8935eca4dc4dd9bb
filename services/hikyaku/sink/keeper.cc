#include "services/hikyaku/sink/keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/digest.h"
#include "services/hikyaku/text.h"

namespace hikyaku::sink {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be ", what, ": ", std::strerror(errno)));
}

absl::Status WriteWhole(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("written", path);
    bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", log::EscapeJson(text), "\""); }

std::string Path(const address::Address& address) { return absl::StrCat("<", address.ToString(), ">"); }

std::string How(const Mail& mail) {
  std::string how = mail.esmtp ? "ESMTP" : "SMTP";
  if (mail.chunked) how += " CHUNKING";
  if (mail.eight_bit) how += " 8BITMIME";
  if (mail.smtputf8) how += " SMTPUTF8";
  return how;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Keeper>> Keeper::Open(KeeperOptions options) {
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(options)));
  const KeeperOptions& o = keeper->options_;
  if (!o.maildir.empty()) {
    for (const char* sub : {"", "/tmp", "/new", "/cur"}) {
      const std::string path = o.maildir + sub;
      if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("made", path);
    }
    const std::string path = o.maildir + "/new";
    keeper->new_dir_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (keeper->new_dir_ < 0) return Failed("opened", path);
  }
  if (!o.log.empty()) {
    keeper->log_ = open(o.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (keeper->log_ < 0) return Failed("opened", o.log);
  }
  return keeper;
}

Keeper::~Keeper() {
  if (log_ >= 0) close(log_);
  if (new_dir_ >= 0) close(new_dir_);
}

absl::Status Keeper::Keep(const Mail& mail, const net::Endpoint& local, const net::Endpoint& client) {
  if (!options_.maildir.empty()) RETURN_IF_ERROR(Save(mail));
  const std::vector<std::string> dkim = options_.dkim ? options_.dkim(mail.data) : std::vector<std::string>();
  if (log_ >= 0) RETURN_IF_ERROR(Log(mail, dkim, local, client));
  ++counts_.mails;
  counts_.recipients += mail.recipients.size();
  counts_.bytes += mail.data.size();
  if (!mail.faults.empty()) ++counts_.faults;
  if (options_.print) Print(mail, dkim, local);
  return absl::OkStatus();
}

// As maildir(5): written in tmp, then moved to new, so that a reader sees whole files only.
absl::Status Keeper::Save(const Mail& mail) {
  const std::string name = absl::StrFormat("%d.P%dQ%d.sink", absl::ToUnixMicros(absl::Now()), getpid(), ++serial_);
  const std::string from = absl::StrCat(options_.maildir, "/tmp/", name);
  const std::string to = absl::StrCat(options_.maildir, "/new/", name);
  const int fd = open(from.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed("made", from);
  absl::Status status = WriteWhole(fd, mail.data, from);
  if (status.ok() && options_.fsync && fsync(fd) != 0) status = Failed("synced", from);
  close(fd);
  if (status.ok() && rename(from.c_str(), to.c_str()) != 0) status = Failed("moved", from);
  if (status.ok() && options_.fsync && fsync(new_dir_) != 0) status = Failed("synced", to);
  if (!status.ok()) unlink(from.c_str());
  return status;
}

absl::Status Keeper::Log(const Mail& mail, const std::vector<std::string>& dkim, const net::Endpoint& local,
                         const net::Endpoint& client) {
  const auto append_quoted = [](std::string* out, const auto& item) { absl::StrAppend(out, Quoted(item)); };
  const auto append_address = [](std::string* out, const address::Address& a) {
    absl::StrAppend(out, Quoted(a.ToString()));
  };
  const std::string line = absl::StrCat(
      "{\"time\":", Quoted(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone())),
      ",\"listener\":", Quoted(local.text()), ",\"client\":", Quoted(client.text()), ",\"helo\":", Quoted(mail.helo),
      ",\"sender\":", Quoted(mail.sender.ToString()), ",\"recipients\":[",
      absl::StrJoin(mail.recipients, ",", append_address), "],\"size\":", mail.data.size(),
      ",\"sha256\":", Quoted(absl::BytesToHexString(crypto::Sha256(mail.data))),
      ",\"token\":", Quoted(FieldOf(mail.data, options_.token_header)),
      ",\"subject\":", Quoted(FieldOf(mail.data, "Subject")), ",\"how\":", Quoted(How(mail)), ",\"tls\":", Quoted(mail.tls), ",\"faults\":[",
      absl::StrJoin(mail.faults, ",", append_quoted), "]",
      options_.dkim ? absl::StrCat(",\"dkim\":[", absl::StrJoin(dkim, ",", append_quoted), "]") : "", "}\n");
  const absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(WriteWhole(log_, line, options_.log));
  if (options_.fsync && fsync(log_) != 0) return Failed("synced", options_.log);
  return absl::OkStatus();
}

void Keeper::Print(const Mail& mail, const std::vector<std::string>& dkim, const net::Endpoint& local) {
  std::string to = absl::StrJoin(mail.recipients, ", ",
                                 [](std::string* out, const address::Address& a) { absl::StrAppend(out, Path(a)); });
  std::string line =
      absl::StrCat(absl::FormatTime("%H:%M:%S", absl::Now(), absl::UTCTimeZone()), "  ", local.text(), "  ",
                   cli::Printable(Path(mail.sender)), " -> ", cli::Printable(to, 300), "  ", mail.data.size(),
                   " bytes  ", How(mail), "  \"", cli::Printable(FieldOf(mail.data, "Subject"), 100), "\"");
  if (!mail.tls.empty()) absl::StrAppend(&line, "  ", mail.tls);
  if (!mail.faults.empty()) absl::StrAppend(&line, "  faults: ", absl::StrJoin(mail.faults, ", "));
  for (const std::string& verdict : dkim) absl::StrAppend(&line, "\n    dkim ", cli::Printable(verdict, 500));
  const absl::MutexLock lock(&mutex_);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

std::string Keeper::CountsText() const {
  return absl::StrCat("connections ", counts_.connections.load(), ", mails ", counts_.mails.load(), ", recipients ",
                      counts_.recipients.load(), ", bytes ", counts_.bytes.load(), ", refused ", counts_.refused.load(),
                      ", dropped ", counts_.dropped.load(), ", mails with faults ", counts_.faults.load());
}

std::string FieldOf(absl::string_view message, absl::string_view name) {
  constexpr std::size_t kMaxValue = 500;
  while (!message.empty()) {
    const std::size_t end = message.find('\n');
    absl::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    if (absl::EndsWith(line, "\r")) line.remove_suffix(1);
    if (line.empty()) return "";
    if (line.size() <= name.size() || line[name.size()] != ':' || !absl::StartsWithIgnoreCase(line, name)) continue;
    return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)).substr(0, kMaxValue));
  }
  return "";
}

}  // namespace hikyaku::sink
