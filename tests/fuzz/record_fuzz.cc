// Keys at rest: what is read from one makes the same key again, in the order of the numbers in it; any bytes are a key
// or none.
#include <cstdint>
#include <string>

#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/base/check.h"
#include "lib/queue/events.h"
#include "lib/queue/keys.h"
#include "tests/fuzz/input.h"

namespace {

namespace keys = hikyaku::queue::keys;

void ReadAnyKey(absl::string_view key) {
  if (const auto due = keys::ParseDue(key); due.has_value() && due->micros >= 0) {
    HIKYAKU_CHECK(keys::Due(due->micros, due->delivery_key) == key);
    HIKYAKU_CHECK(keys::Delivery(keys::DeliveryId(due->delivery_key), keys::DeliveryDomain(due->delivery_key)) ==
                  due->delivery_key);
  }
  if (const auto parked = keys::ParseParked(key); parked.has_value() && parked->micros >= 0) {
    HIKYAKU_CHECK(keys::Parked(parked->domain, parked->priority_class, parked->tenant, parked->micros, parked->id) ==
                  key);
  }
  const std::string end = keys::PrefixEnd(key);
  HIKYAKU_CHECK(end.empty() || absl::string_view(end) > key);
  HIKYAKU_CHECK(end.empty() || absl::string_view(end) > std::string(key) + "\xff\xff");
}

void MakeKeys(hikyaku::fuzz::Input input) {
  const std::string id(16, static_cast<char>(input.Byte()));
  const auto one = static_cast<std::int64_t>(input.Number() >> 1), two = static_cast<std::int64_t>(input.Number() >> 1);
  // A domain and a tenant hold no NUL: the grammar of both forbids it.
  const std::string domain = "a" + std::string(input.Byte() % 4, 'b'), tenant(input.Byte() % 4, 't');
  const std::string delivery = keys::Delivery(id, domain);
  const std::string due_key = keys::Due(one, delivery);
  const auto due = keys::ParseDue(due_key);
  HIKYAKU_CHECK(due.has_value() && due->micros == one && due->delivery_key == delivery);
  HIKYAKU_CHECK((keys::Due(one, delivery) < keys::Due(two, delivery)) == (one < two));
  const int priority_class = input.Byte() % 3;
  const std::string key = keys::Parked(domain, priority_class, tenant, one, id);
  const auto parked = keys::ParseParked(key);
  HIKYAKU_CHECK(parked.has_value() && parked->domain == domain && parked->priority_class == priority_class &&
                parked->tenant == tenant && parked->micros == one && parked->id == id);
  HIKYAKU_CHECK(key >= keys::ParkedPrefix(domain, priority_class, tenant));
  HIKYAKU_CHECK(key < keys::PrefixEnd(keys::ParkedPrefix(domain, priority_class, tenant)));
}

// What reads back after writing is the same: a record that cannot be written again as it was read would change at rest.
template <typename Record>
void ReadRecord(absl::string_view bytes) {
  Record record, again;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  HIKYAKU_CHECK(again.ParseFromString(record.SerializeAsString()));
  HIKYAKU_CHECK(again.ByteSizeLong() == record.ByteSizeLong());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  ReadAnyKey(bytes);
  MakeKeys(hikyaku::fuzz::Input(data, size));
  ReadRecord<hikyaku::storage::v1::Delivery>(bytes);
  ReadRecord<hikyaku::storage::v1::DueEntry>(bytes);
  ReadRecord<hikyaku::storage::v1::IdempotencyRecord>(bytes);
  ReadRecord<hikyaku::storage::v1::Counters>(bytes);
  hikyaku::v1::Event event;
  if (hikyaku::queue::ParseEvent(bytes.substr(0, 8), bytes.substr(std::min<std::size_t>(8, size)), "q0", event)) {
    HIKYAKU_CHECK(event.sequence() == keys::ReadBig64(bytes) && event.shard() == "q0");
  }
  return 0;
}
