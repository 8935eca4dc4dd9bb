#include "lib/delivery/dkim_keys.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/signing_key.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

// A key has a few thousand bytes; SigningKey refuses more than this.
constexpr off_t kMaxFile = 64 * 1024;

constexpr char kEveryOther[] = "*";

metrics::Gauge& UnusableGauge() {
  return metrics::DeclareGauge(
      "hikyaku_dkim_keys_unusable",
      "DKIM keys of the configuration whose file cannot be used now. Where none was read before, "
      "the mail of their domains waits.");
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status CannotRead() { return absl::NotFoundError(absl::StrCat("cannot be read: ", std::strerror(errno))); }

// By way of symbolic links, as Kubernetes mounts Secrets; never waits for the other end of a pipe.
absl::StatusOr<std::string> ReadKeyFile(const std::string& path, struct stat* stamp) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 || fstat(file.get(), stamp) != 0) return CannotRead();
  if (!S_ISREG(stamp->st_mode)) return absl::InvalidArgumentError("is no file");
  if (stamp->st_size > kMaxFile) return absl::InvalidArgumentError("is larger than 64KiB: it is no key");
  std::string text(static_cast<std::size_t>(stamp->st_size), '\0');
  const ssize_t got = read(file.get(), text.data(), text.size());
  if (got < 0) return CannotRead();
  text.resize(static_cast<std::size_t>(got));
  return text;
}

absl::StatusOr<dkim::Signatory> ReadSignatory(const DkimKey& key, struct stat* stamp) {
  ASSIGN_OR_RETURN(const std::string pem, ReadKeyFile(key.path, stamp));
  ASSIGN_OR_RETURN(crypto::SigningKey secret, crypto::SigningKey::FromPem(pem));
  return dkim::Signatory{key.domain, key.selector, std::move(secret)};
}

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

struct stat StampOf(const std::string& path) {
  struct stat stamp = {};
  if (stat(path.c_str(), &stamp) != 0) stamp = {};
  return stamp;
}

std::shared_ptr<const DkimKey> ReadKey(std::string domain, std::string selector, std::string path,
                                       const std::shared_ptr<const DkimKey>& before) {
  if (before != nullptr && before->file.ok() && SameFile(before->stamp, StampOf(path))) return before;
  auto key = std::make_shared<DkimKey>();
  key->domain = std::move(domain);
  key->selector = std::move(selector);
  key->path = std::move(path);
  key->signatory = ReadSignatory(*key, &key->stamp);
  key->file = key->signatory.status();
  key->exposed = (key->stamp.st_mode & (S_IROTH | S_IWOTH)) != 0;
  if (!key->file.ok()) {
    key->stamp = StampOf(key->path);
    if (before != nullptr && before->signatory.ok()) key->signatory = before->signatory;
  }
  return key;
}

void Log(const DkimKey& key) {
  if (!key.file.ok()) {
    log::Error("dkim_key_unusable", {{"domain", key.domain},
                                     {"selector", key.selector},
                                     {"file", key.path},
                                     {"why", key.file.message()},
                                     {"until_then", key.signatory.ok() ? "the key that was read before signs"
                                                                       : "mail of the domain waits"}});
  }
  if (key.exposed) {
    log::Warn("dkim_key_exposed", {{"file", key.path}, {"why", "everyone on this machine may read it: chmod 0600"}});
  }
}

}  // namespace

std::string DkimFileName(absl::string_view selector, absl::string_view domain) {
  return absl::StrCat(selector, ".", domain, ".pem");
}

std::shared_ptr<const DkimKeys> DkimKeys::Load(const DkimOptions& options, const DkimKeys* before) {
  std::map<std::string, std::shared_ptr<const DkimKey>> known;  // By path.
  if (before != nullptr) {
    for (const auto& key : before->all_) known.emplace(key->path, key);
  }
  auto keys = std::make_shared<DkimKeys>();
  std::map<std::string, std::shared_ptr<const DkimKey>> read;
  for (const DkimRow& row : options.rows) {
    DkimKeyList& list = keys->rows_[row.from];
    for (const std::string& selector : row.selectors) {
      std::string path = absl::StrCat(options.folder, "/", DkimFileName(selector, row.domain));
      std::shared_ptr<const DkimKey>& key = read[path];
      if (key == nullptr) {
        const auto old = known.find(path);
        key = ReadKey(row.domain, selector, path, old == known.end() ? nullptr : old->second);
        keys->all_.push_back(key);
      }
      list.push_back(key);
    }
  }
  return keys;
}

const DkimKeyList* DkimKeys::Find(absl::string_view domain) const {
  while (!domain.empty()) {
    if (const auto row = rows_.find(domain); row != rows_.end()) return &row->second;
    const std::size_t dot = domain.find('.');
    domain.remove_prefix(dot == absl::string_view::npos ? domain.size() : dot + 1);
  }
  const auto other = rows_.find(absl::string_view(kEveryOther));
  return other == rows_.end() ? nullptr : &other->second;
}

bool DkimKeys::Changed() const {
  for (const auto& key : all_) {
    if (!SameFile(key->stamp, StampOf(key->path))) return true;
  }
  return false;
}

DkimKeyring::DkimKeyring(DkimOptions options) : options_(std::move(options)) { Replace(); }

void DkimKeyring::Update(DkimOptions options) {
  options_ = std::move(options);
  Replace();
}

void DkimKeyring::Reread() {
  if (Get()->Changed()) Replace();
}

std::shared_ptr<const DkimKeys> DkimKeyring::Get() const {
  absl::MutexLock lock(&mutex_);
  return keys_;
}

void DkimKeyring::Replace() {
  std::shared_ptr<const DkimKeys> before;
  {
    absl::MutexLock lock(&mutex_);
    before = keys_;
  }
  std::shared_ptr<const DkimKeys> now = DkimKeys::Load(options_, before.get());
  int unusable = 0;
  for (const auto& key : now->all()) {
    unusable += key->file.ok() ? 0 : 1;
    Log(*key);
  }
  UnusableGauge().Set(unusable);
  if (before != nullptr) log::Info("dkim_keys_read", {{"keys", now->all().size()}, {"unusable", unusable}});
  absl::MutexLock lock(&mutex_);
  keys_ = std::move(now);
}

}  // namespace hikyaku::delivery
