#include "services/submission/event_cursor.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

constexpr std::size_t kMaxCursor = 64 * 1024;  // Thousands of shards.

}  // namespace

absl::StatusOr<EventCursor> EventCursor::Parse(absl::string_view text) {
  EventCursor cursor;
  cursor.from_now_ = text.empty();
  if (text.empty() || text == "0") return cursor;
  const auto malformed = [] {
    return FieldFailure(absl::StatusCode::kInvalidArgument,
                        {{"cursor", "must be empty, \"0\", or the cursor of an earlier response"}});
  };
  if (text.size() > kMaxCursor) return malformed();
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(part, absl::MaxSplits('=', 1));
    std::uint64_t sequence = 0;
    // SimpleAtoi passes over blanks and takes a sign.
    const bool digits = std::all_of(halves.second.begin(), halves.second.end(), absl::ascii_isdigit);
    if (halves.first.empty() || !digits || !absl::SimpleAtoi(halves.second, &sequence)) return malformed();
    if (!cursor.positions_.emplace(halves.first, sequence).second) return malformed();
  }
  return cursor;
}

std::optional<std::uint64_t> EventCursor::Position(absl::string_view shard) const {
  const auto found = positions_.find(std::string(shard));
  if (found != positions_.end()) return found->second;
  return from_now_ ? std::nullopt : std::optional<std::uint64_t>(0);
}

std::string EventCursor::Encode() const {
  std::string text;
  for (const auto& [shard, sequence] : positions_) {
    absl::StrAppend(&text, text.empty() ? "" : ",", shard, "=", sequence);
  }
  return text;
}

}  // namespace hikyaku::submission
