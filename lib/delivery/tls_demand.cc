#include "lib/delivery/tls_demand.h"

namespace hikyaku::delivery {

absl::string_view TlsLevelName(TlsLevel level) {
  switch (level) {
    case TlsLevel::kNone: return "none";
    case TlsLevel::kOpportunistic: return "opportunistic";
    case TlsLevel::kRequire: return "require";
    case TlsLevel::kVerify: return "verify";
    case TlsLevel::kDane: return "dane";
    case TlsLevel::kDaneOnly: return "dane_only";
  }
  return "?";
}

}  // namespace hikyaku::delivery
