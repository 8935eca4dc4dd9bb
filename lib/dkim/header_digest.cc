#include "lib/dkim/header_digest.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "lib/crypto/digest.h"

namespace hikyaku::dkim {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);
constexpr std::size_t kUsualText = 2048;

// Names of fields, whatever their case. FNV-1a: they are short, and of mime::kMaxFields at most it matters little that
// somebody may choose them to collide.
struct NameHash {
  std::size_t operator()(absl::string_view name) const {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : name) {
      hash = (hash ^ static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(c)))) * 0x100000001b3;
    }
    return hash;
  }
};
struct NameEqual {
  bool operator()(absl::string_view a, absl::string_view b) const { return absl::EqualsIgnoreCase(a, b); }
};

}  // namespace

std::string HeaderDigest(const mime::HeaderFields& header, const std::vector<absl::string_view>& names, Form form,
                         absl::string_view own) {
  const std::vector<mime::HeaderField>& fields = header.fields();
  // Of each name the lowest field that is not taken yet, and of each field the next one of its name above it.
  absl::flat_hash_map<absl::string_view, std::size_t, NameHash, NameEqual> lowest(fields.size());
  std::vector<std::size_t> above(fields.size(), kNone);
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto [known, fresh] = lowest.try_emplace(fields[i].name, i);
    if (!fresh) above[i] = std::exchange(known->second, i);
  }
  std::string text;
  text.reserve(kUsualText);
  for (const absl::string_view name : names) {
    const auto next = lowest.find(name);
    if (next == lowest.end() || next->second == kNone) continue;
    AppendField(form, fields[next->second].raw, &text);
    text.append("\r\n");
    next->second = above[next->second];
  }
  AppendField(form, own, &text);
  return crypto::Sha256(text);
}

}  // namespace hikyaku::dkim
