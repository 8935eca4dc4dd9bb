// How far a watcher has come at each shard, as the text that WatchEvents gives with each event.
//
// Threading: a value.
#ifndef HIKYAKU_SERVICES_SUBMISSION_EVENT_CURSOR_H_
#define HIKYAKU_SERVICES_SUBMISSION_EVENT_CURSOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::submission {

class EventCursor {
 public:
  // "" is from now on; "0" from the oldest; else what Encode gave. kInvalidArgument with its field for anything else.
  static absl::StatusOr<EventCursor> Parse(absl::string_view text);

  // The sequence after which to go on. Nothing: from now on. A shard that an encoded cursor does not know is new since
  // then, or was silent: all of its events are wanted, 0.
  std::optional<std::uint64_t> Position(absl::string_view shard) const;

  void Advance(absl::string_view shard, std::uint64_t sequence) { positions_[std::string(shard)] = sequence; }

  // "q0=12,q1=7".
  std::string Encode() const;

 private:
  bool from_now_ = false;
  std::map<std::string, std::uint64_t> positions_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_EVENT_CURSOR_H_
