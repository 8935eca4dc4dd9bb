#include "lib/delivery/tls_demand.h"

namespace hikyaku::delivery {

absl::string_view TlsLevelName(TlsLevel level) {
  switch (level) {
    case TlsLevel::kNone: return "none";
    case TlsLevel::kOpportunistic: return "opportunistic";
    case TlsLevel::kRequire: return "require";
    case TlsLevel::kVerify: return "verify";
  }
  return "?";
}

}  // namespace hikyaku::delivery
