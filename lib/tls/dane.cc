#include "lib/tls/dane.h"

#include <algorithm>
#include <functional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/chain.h"
#include "openssl/sha.h"

namespace hikyaku::tls {
namespace {

bool Usable(const TlsaRecord& record) {
  if (record.usage != 2 && record.usage != 3) return false;
  if (record.selector > 1) return false;
  switch (record.matching) {
    case 0: return record.selector == 0 ? ParseCertificate(record.data) != nullptr : ParseKey(record.data) != nullptr;
    case 1: return record.data.size() == SHA256_DIGEST_LENGTH;
    case 2: return record.data.size() == SHA512_DIGEST_LENGTH;
    default: return false;
  }
}

}  // namespace

std::vector<TlsaRecord> UsableTlsa(std::vector<TlsaRecord> records) {
  records.erase(std::remove_if(records.begin(), records.end(), [](const TlsaRecord& r) { return !Usable(r); }),
                records.end());
  std::sort(records.begin(), records.end(), std::greater<>());
  records.erase(std::unique(records.begin(), records.end()), records.end());
  const std::vector<TlsaRecord> all = records;
  const auto outdone = [&](const TlsaRecord& weak) {
    return weak.matching == 1 && std::any_of(all.begin(), all.end(), [&](const TlsaRecord& strong) {
             return strong.matching == 2 && strong.usage == weak.usage && strong.selector == weak.selector;
           });
  };
  records.erase(std::remove_if(records.begin(), records.end(), outdone), records.end());
  if (records.size() > kMaxTlsaRecords) records.resize(kMaxTlsaRecords);
  return records;
}

std::string TlsaText(const TlsaRecord& record) {
  const absl::string_view shown = absl::string_view(record.data).substr(0, SHA512_DIGEST_LENGTH);
  return absl::StrCat(record.usage, " ", record.selector, " ", record.matching, " ", absl::BytesToHexString(shown),
                      shown.size() < record.data.size() ? "..." : "");
}

}  // namespace hikyaku::tls
