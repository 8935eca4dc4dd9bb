// The keys that sign mail, by the domain of its From: read from files, one each, and read again when they change.
//
// A key that was once read goes on signing when its file becomes unreadable, wrong or missing: the mail of a running
// service does not wait for a slip of the hand. A key that has never been read signs nothing, and the mail that needs
// it waits (signing.h): it never leaves unsigned.
//
// Source:     RFC 6376 §3.1 (selectors); DMARC's relaxed alignment, RFC 7489 §3.1.1 (a parent domain may sign).
// Non-goals:  making keys (services/hikyaku/dkim_keygen); the public half, which is in the DNS.
// Threading:  DkimKeys never changes. DkimKeyring: Update and Reread from one thread, Get from any.
#ifndef HIKYAKU_LIB_DELIVERY_DKIM_KEYS_H_
#define HIKYAKU_LIB_DELIVERY_DKIM_KEYS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/small_file.h"
#include "lib/dkim/signer.h"

namespace hikyaku::delivery {

// One row of the configuration.
struct DkimRow {
  std::string from;                    // The domain of From, an A-label; "*" for those without a row.
  std::string domain;                  // Who signs: d=.
  std::vector<std::string> selectors;  // Each signs.
};

struct DkimOptions {
  std::string folder;
  std::vector<DkimRow> rows;
};

// SELECTOR.DOMAIN.pem
std::string DkimFileName(absl::string_view selector, absl::string_view domain);

// One key as it was last found.
struct DkimKey {
  std::string domain;
  std::string selector;
  std::string path;
  absl::StatusOr<dkim::Signatory> signatory = absl::UnknownError("not read");  // What signs, if anything.
  absl::Status file;     // Of the last reading; where it failed, `signatory` is what was read before, if anything.
  bool exposed = false;  // Others than owner and group may read the file.
  FileStamp stamp;
};

using DkimKeyList = std::vector<std::shared_ptr<const DkimKey>>;

class DkimKeys {
 public:
  // Reads what is new or has changed since `before` (may be null), and takes over the rest.
  static std::shared_ptr<const DkimKeys> Load(const DkimOptions& options, const DkimKeys* before);

  // The keys that sign for mail from `domain` (an A-label; "" when From has none), or null: no row is for it.
  const DkimKeyList* Find(absl::string_view domain) const;

  // Every key once.
  const DkimKeyList& all() const { return all_; }

  // A file is not what it was when it was read. Costs a stat a key.
  bool Changed() const;

 private:
  std::map<std::string, DkimKeyList, std::less<>> rows_;
  DkimKeyList all_;
};

// What is in force now.
class DkimKeyring {
 public:
  // Reads all keys; those that cannot be read are told of in the log.
  explicit DkimKeyring(DkimOptions options);

  // Replaces the rows, and logs what is wrong with the keys.
  void Update(DkimOptions options);

  // Looks whether files have changed, and takes over what has. Blocks for the files; for a thread that may.
  void Reread();

  std::shared_ptr<const DkimKeys> Get() const;

 private:
  void Replace();

  DkimOptions options_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const DkimKeys> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_DKIM_KEYS_H_
