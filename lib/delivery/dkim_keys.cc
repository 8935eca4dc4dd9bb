#include "lib/delivery/dkim_keys.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/small_file.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/signing_key.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

// A key has a few thousand bytes; SigningKey refuses more than this.
constexpr std::size_t kMaxFile = 64 * 1024;

constexpr char kEveryOther[] = "*";

metrics::Gauge& UnusableGauge() {
  return metrics::DeclareGauge(
      "hikyaku_dkim_keys_unusable",
      "DKIM keys of the configuration whose file cannot be used now. Where none was read before, "
      "the mail of their domains waits.");
}

absl::StatusOr<dkim::Signatory> ReadSignatory(const DkimKey& key, FileStamp* stamp) {
  ASSIGN_OR_RETURN(const SmallFile file, ReadSmallFile(key.path, kMaxFile));
  *stamp = file.stamp;
  ASSIGN_OR_RETURN(crypto::SigningKey secret, crypto::SigningKey::FromPem(file.text));
  return dkim::Signatory{key.domain, key.selector, std::move(secret)};
}

std::shared_ptr<const DkimKey> ReadKey(std::string domain, std::string selector, std::string path,
                                       const std::shared_ptr<const DkimKey>& before) {
  if (before != nullptr && before->file.ok() && before->stamp == StampOf(path)) return before;
  auto key = std::make_shared<DkimKey>();
  key->domain = std::move(domain);
  key->selector = std::move(selector);
  key->path = std::move(path);
  key->signatory = ReadSignatory(*key, &key->stamp);
  key->file = key->signatory.status();
  key->exposed = (key->stamp.mode & (S_IROTH | S_IWOTH)) != 0;
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
    if (!(key->stamp == StampOf(key->path))) return true;
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
