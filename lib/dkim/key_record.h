// The TXT record at SELECTOR._domainkey.DOMAIN.
//
// Source:     RFC 6376 §3.6.1; RFC 8463 §4.
// Threading:  pure.
#ifndef HIKYAKU_LIB_DKIM_KEY_RECORD_H_
#define HIKYAKU_LIB_DKIM_KEY_RECORD_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/crypto/signing_key.h"

namespace hikyaku::dkim {

struct KeyRecord {
  crypto::KeyType type = crypto::KeyType::kRsa;
  std::string key;       // p=, decoded. Empty: the key was withdrawn.
  bool testing = false;  // t=y: the domain only tries DKIM.
  bool exact = false;    // t=s: i= must be of d= itself.
};

// Reads one record, the strings of the TXT joined. kInvalidArgument: no key record, or one that forbids e-mail or
// SHA-256; the text says why.
absl::StatusOr<KeyRecord> ParseKeyRecord(absl::string_view text);

// The record of `key`: "v=DKIM1; k=rsa; p=…".
std::string FormatKeyRecord(const crypto::SigningKey& key);

// `text` as the data of a TXT record in a zone file (RFC 1035 §5.1): quoted strings of at most 255 octets.
std::string FormatTxtData(absl::string_view text);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_KEY_RECORD_H_
