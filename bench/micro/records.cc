// Records and keys at rest.
#include <string>

#include "benchmark/benchmark.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

const std::string kId("0123456789abcdef");

storage::v1::Delivery MakeDelivery() {
  storage::v1::Delivery delivery;
  storage::v1::Envelope& envelope = *delivery.mutable_envelope();
  envelope.set_message_id(kId);
  envelope.set_tenant("default");
  envelope.set_sender("bounces+12345@mail.sender.example.org");
  envelope.set_message_id_header("01jdn5w3k8v4x2c7r9tq6m1b0z@mail.sender.example.org");
  envelope.set_size(4096);
  envelope.set_accept_micros(1'767'225'600'000'000);
  envelope.set_expire_micros(1'767'657'600'000'000);
  delivery.set_domain("department.example.net");
  storage::v1::Recipient& recipient = *delivery.add_recipients();
  recipient.set_address("first.last@department.example.net");
  delivery.set_due_micros(1'767'225'600'000'000);
  delivery.set_body_part(0x1234567890abcdef);
  delivery.set_destinations(1);
  return delivery;
}

void SerialiseDelivery(benchmark::State& state) {
  const storage::v1::Delivery delivery = MakeDelivery();
  std::string bytes;
  for (auto _ : state) {
    delivery.SerializeToString(&bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SerialiseDelivery);

void ParseDelivery(benchmark::State& state) {
  const std::string bytes = MakeDelivery().SerializeAsString();
  for (auto _ : state) {
    storage::v1::Delivery delivery;
    benchmark::DoNotOptimize(delivery.ParseFromString(bytes));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParseDelivery);

void DueEntryThereAndBack(benchmark::State& state) {
  storage::v1::DueEntry entry;
  entry.set_tenant("default");
  entry.set_accept_micros(1'767'225'600'000'000);
  entry.set_expire_micros(1'767'657'600'000'000);
  entry.set_size(4096);
  std::string bytes;
  for (auto _ : state) {
    entry.SerializeToString(&bytes);
    storage::v1::DueEntry read;
    benchmark::DoNotOptimize(read.ParseFromString(bytes));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DueEntryThereAndBack);

void DueKeyThereAndBack(benchmark::State& state) {
  const std::string delivery = keys::Delivery(kId, "department.example.net");
  std::int64_t micros = 1'767'225'600'000'000;
  for (auto _ : state) {
    const std::string key = keys::Due(++micros, delivery);
    benchmark::DoNotOptimize(keys::ParseDue(key));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DueKeyThereAndBack);

void ParkedKeyThereAndBack(benchmark::State& state) {
  std::int64_t micros = 1'767'225'600'000'000;
  for (auto _ : state) {
    const std::string key = keys::Parked("department.example.net", 1, "default", ++micros, kId);
    benchmark::DoNotOptimize(keys::ParseParked(key));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParkedKeyThereAndBack);

}  // namespace
}  // namespace hikyaku::queue
