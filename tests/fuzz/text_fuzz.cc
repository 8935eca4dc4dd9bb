// The small texts that people and clients write: durations, sizes, endpoints, message ids, cursors of events.
#include <cstdint>
#include <string>

#include "lib/base/check.h"
#include "lib/base/message_id.h"
#include "lib/base/units.h"
#include "lib/base/utf8.h"
#include "lib/net/endpoint.h"
#include "services/submission/event_cursor.h"

namespace {

void CheckUtf8(absl::string_view text) {
  absl::string_view rest = text;
  bool valid = true;
  while (!rest.empty()) {
    const std::size_t before = rest.size();
    const auto c = hikyaku::TakeUtf8(rest);
    HIKYAKU_CHECK(rest.size() < before && before - rest.size() <= (c.has_value() ? 4u : 1u));
    HIKYAKU_CHECK(!c.has_value() || (*c <= 0x10FFFF && (*c < 0xD800 || *c > 0xDFFF)));
    valid = valid && c.has_value();
  }
  HIKYAKU_CHECK(hikyaku::IsValidUtf8(text) == valid);
  if (!valid) return;
  for (std::size_t limit = 0; limit <= text.size(); limit += 1 + limit / 4) {
    const absl::string_view cut = hikyaku::CutUtf8(text, limit);
    HIKYAKU_CHECK(cut.size() <= limit && cut.size() + 4 > limit && hikyaku::IsValidUtf8(cut));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto duration = hikyaku::ParseDuration(text); duration.ok()) {
    HIKYAKU_CHECK(*duration >= absl::ZeroDuration());
    const auto again = hikyaku::ParseDuration(hikyaku::FormatDuration(*duration));
    HIKYAKU_CHECK(again.ok() && *again == *duration);
  }
  if (const auto bytes = hikyaku::ParseSize(text); bytes.ok()) {
    const auto again = hikyaku::ParseSize(hikyaku::FormatSize(*bytes));
    HIKYAKU_CHECK(again.ok() && *again == *bytes);
  }
  if (const auto endpoint = hikyaku::net::ParseEndpoint(text, 25); endpoint.ok()) {
    const auto again = hikyaku::net::ParseEndpoint(endpoint->text());
    HIKYAKU_CHECK(again.ok() && *again == *endpoint);
  }
  if (const auto id = hikyaku::MessageId::FromText(text)) {
    HIKYAKU_CHECK(hikyaku::MessageId::FromText(id->text()) == *id);
    HIKYAKU_CHECK(hikyaku::MessageId::FromBytes(id->bytes()) == *id);
  }
  if (const auto cursor = hikyaku::submission::EventCursor::Parse(text); cursor.ok()) {
    if (const std::string written = cursor->Encode(); !written.empty()) {
      const auto again = hikyaku::submission::EventCursor::Parse(written);
      HIKYAKU_CHECK(again.ok() && again->Encode() == written);
    }
  }
  CheckUtf8(text);
  return 0;
}
