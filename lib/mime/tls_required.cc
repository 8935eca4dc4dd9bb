#include "lib/mime/tls_required.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace hikyaku::mime {
namespace {

constexpr absl::string_view kName = "TLS-Required";

bool SaysNo(absl::string_view value) { return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(value), "No"); }

}  // namespace

bool WaivesTls(const HeaderFields& header) {
  return header.Count(kName) == 1 && SaysNo(header.Find(kName)->Unfolded());
}

bool WaivesTls(const std::vector<std::pair<std::string, std::string>>& fields) {
  int count = 0;
  bool waives = false;
  for (const auto& [name, value] : fields) {
    if (!absl::EqualsIgnoreCase(name, kName)) continue;
    ++count;
    waives = SaysNo(value);
  }
  return count == 1 && waives;
}

}  // namespace hikyaku::mime
