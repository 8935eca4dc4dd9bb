// Where a checker finds the keys of signatures: the DNS, or a zone file.
//
// Threading: safe from every thread. Ask blocks.
#ifndef HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_SOURCE_H_
#define HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/dkim/verifier.h"

namespace hikyaku::cli {

class KeySource {
 public:
  virtual ~KeySource() = default;

  // The TXT records of `name`.
  virtual dkim::KeyAnswer Ask(const std::string& name) const = 0;
};

// Of a file. kInvalidArgument: it cannot be read, or is no zone file.
absl::StatusOr<std::unique_ptr<KeySource>> ZoneKeys(const std::string& path);

// Of a server "IP:PORT" (53 if not said); empty: the system's. kInvalidArgument: no address; kUnavailable: no DNS
// channel.
absl::StatusOr<std::unique_ptr<KeySource>> DnsKeys(const std::string& server);

struct DkimReport {
  bool pass = false;               // At least one signature does.
  std::vector<std::string> lines;  // One a signature: "pass: d=…"; or the one thing to say where there is none.
};

// Of `message`, whose line ends are CRLF.
DkimReport CheckSignatures(absl::string_view message, const KeySource& keys);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_SOURCE_H_
