// A shard over a disk that holds anything: it opens or says why not, answers every question, and takes and hands out a
// sound mail as if the damage were not there.
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/base/check.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/message_id.h"
#include "lib/queue/keys.h"
#include "lib/queue/local_shard.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/memory_store.h"

namespace {

using namespace hikyaku::queue;  // NOLINT(google-build-using-namespace): the file is about nothing else.
using hikyaku::fuzz::Input;
using hikyaku::internal::v1::EnqueueRequest;
using hikyaku::internal::v1::EnqueueResponse;
namespace storage = hikyaku::storage::v1;
namespace v1 = hikyaku::v1;

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);
constexpr char kSoundDomain[] = "sound.test";

// One of four messages, so that records meet.
std::string Id(Input& input) { return std::string(16, static_cast<char>('a' + input.Byte() % 4)); }
std::string Domain(Input& input) { return input.Flag() ? "x.test" : "y.test"; }
std::int64_t Micros(Input& input) {
  const std::int64_t now = absl::ToUnixMicros(kStart);
  switch (input.Byte() % 4) {
    case 0: return now;
    case 1: return now - static_cast<std::int64_t>(input.Number(4));
    case 2: return now + static_cast<std::int64_t>(input.Number(4));
    default: return static_cast<std::int64_t>(input.Number());
  }
}

std::string Key(Input& input, Family family) {
  switch (family) {
    case Family::kMeta: return input.Flag() ? "counters" : "suspended/" + Domain(input);
    case Family::kBody: return keys::Body(Id(input), input.Byte() % 2);
    case Family::kDelivery: return keys::Delivery(Id(input), Domain(input));
    case Family::kDue: {
      const std::int64_t micros = Micros(input);
      return keys::Due(micros, keys::Delivery(Id(input), Domain(input)));
    }
    case Family::kParked: {
      const std::string domain = Domain(input);
      return keys::Parked(domain, input.Byte() % 4, input.Flag() ? "default" : "", Micros(input), Id(input));
    }
    case Family::kEvent: return keys::Big64(input.Byte() % 8);
    case Family::kTrace: return keys::Trace(Id(input), input.Byte() % 8);
    default: return input.Text(40);
  }
}

// A record that a writer could have written, with numbers that it would not.
std::string Value(Input& input, Family family) {
  if (family == Family::kDelivery) {
    storage::Delivery delivery;
    delivery.mutable_envelope()->set_message_id(Id(input));
    delivery.mutable_envelope()->set_tenant(input.Flag() ? "default" : "");
    delivery.mutable_envelope()->set_expire_micros(Micros(input));
    delivery.mutable_envelope()->set_accept_micros(Micros(input));
    delivery.mutable_envelope()->set_priority(input.Byte() % 5);
    delivery.set_domain(Domain(input));
    delivery.set_due_micros(Micros(input));
    delivery.set_body_part(input.Byte() % 2);
    delivery.set_destinations(input.Byte() % 3);
    for (int i = input.Byte() % 3; i > 0; --i) delivery.add_recipients()->set_address("r@x.test");
    return delivery.SerializeAsString();
  }
  if (family == Family::kDue || family == Family::kParked) {
    storage::DueEntry entry;
    entry.set_tenant(input.Flag() ? "default" : "");
    entry.set_priority(input.Byte() % 5);
    entry.set_accept_micros(Micros(input));
    entry.set_expire_micros(Micros(input));
    entry.set_deliver_by(input.Flag());
    if (input.Flag()) entry.set_parked_micros(Micros(input));
    return entry.SerializeAsString();
  }
  return input.Text();
}

void Fill(Input& input, MemoryDisk& disk) {
  absl::MutexLock lock(&disk.mu);
  for (int rows = 0; rows < 32 && !input.empty(); ++rows) {
    const auto family = static_cast<Family>(input.Byte() % kFamilies);
    std::string key = input.Byte() % 8 == 7 ? input.Text(64) : Key(input, family);
    disk.tables[static_cast<int>(family)][std::move(key)] = input.Byte() % 4 == 3 ? input.Text() : Value(input, family);
  }
}

template <typename T>
absl::StatusOr<T> Await(absl::AnyInvocable<void(Done<T>)> call) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<T>>>();
  auto future = promise->get_future();
  call([promise](absl::StatusOr<T> value) { promise->set_value(std::move(value)); });
  HIKYAKU_CHECK(future.wait_for(absl::ToChronoSeconds(kPatience)) == std::future_status::ready);
  return future.get();
}

// Reports each lease as delivered, as soon as it comes.
class Worker : public LeaseListener {
 public:
  explicit Worker(Shard& shard) : stream_(shard.OpenLeases("fuzz", this)) { stream_->Grant(64); }

  void OnLease(Lease lease) override {
    absl::MutexLock lock(&mu_);
    leases_.push_back(std::move(lease));
  }
  void OnRecorded(std::uint64_t) override {}
  void OnRevoked(std::uint64_t) override {}
  void OnClosed(absl::Status) override {}

  // Works until the sound mail has come.
  void Run(const std::string& body) {
    for (bool done = false; !done;) {
      const Lease lease = Next();
      if (lease.delivery.domain() == kSoundDomain) {
        HIKYAKU_CHECK(lease.body != nullptr && *lease.body == body);
        done = true;
      }
      hikyaku::internal::v1::Verdict verdict;
      verdict.set_lease(lease.id);
      for (int i = 0; i < lease.delivery.recipients_size(); ++i) {
        verdict.add_outcomes()->set_kind(done || i == 0 ? v1::Outcome::KIND_DELIVERED : v1::Outcome::KIND_TRANSIENT);
      }
      stream_->Report(std::move(verdict));
    }
  }

 private:
  Lease Next() {
    absl::MutexLock lock(&mu_);
    const auto some = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !leases_.empty(); };
    HIKYAKU_CHECK(mu_.AwaitWithTimeout(absl::Condition(&some), kPatience));
    Lease lease = std::move(leases_.back());
    leases_.pop_back();
    return lease;
  }

  absl::Mutex mu_;
  std::vector<Lease> leases_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<LeaseStream> stream_;  // Goes first: nothing is called after that.
};

void Ask(Shard& shard) {
  for (char name = 'a'; name < 'e'; ++name) {
    v1::GetMessageRequest request;
    request.set_message_id(hikyaku::MessageId::FromBytes(std::string(16, name))->text());
    (void)Await<v1::GetMessageResponse>([&](auto done) { shard.GetMessage(request, std::move(done)); });
  }
  HIKYAKU_CHECK(Await<v1::ListQueuesResponse>([&](auto done) { shard.ListQueues({}, std::move(done)); }).ok());
  HIKYAKU_CHECK(Await<v1::ListDeliveriesResponse>([&](auto done) { shard.ListDeliveries({}, std::move(done)); }).ok());
  HIKYAKU_CHECK(Await<v1::CheckQueueResponse>([&](auto done) { shard.CheckQueue(std::move(done)); }).ok());
}

void Send(Shard& shard, const std::string& id, const std::string& body) {
  EnqueueRequest request;
  request.mutable_envelope()->set_message_id(id);
  request.mutable_envelope()->set_tenant("sound");
  request.set_body(body);
  request.add_destinations()->set_domain(kSoundDomain);
  request.mutable_destinations(0)->add_recipients("r@sound.test");
  HIKYAKU_CHECK(Await<EnqueueResponse>([&](auto done) { shard.Enqueue(request, std::move(done)); }).ok());
}

void Operate(Shard& shard, std::uint8_t choice) {
  v1::FlushRequest flush;
  v1::PurgeRequest purge;
  flush.set_domain("x.test");
  purge.set_domain("y.test");
  if ((choice & 1) != 0) (void)Await<v1::FlushResponse>([&](auto done) { shard.Flush(flush, std::move(done)); });
  if ((choice & 2) != 0) (void)Await<v1::PurgeResponse>([&](auto done) { shard.Purge(purge, std::move(done)); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::log::SetLevel(hikyaku::log::Level::kOff);
  Input input(data, size);
  const std::uint8_t operations = input.Byte();
  const auto disk = std::make_shared<MemoryDisk>();
  Fill(input, *disk);

  hikyaku::FakeClock clock(kStart);
  Options options;
  options.data_dir = "/nowhere";
  options.measure_disk = [] { return DiskSpace{std::uint64_t{1} << 40, 1'000'000}; };
  options.open_store = [disk](const std::string&) { return std::make_unique<MemoryStore>(disk); };
  auto shard = LocalShard::Open(options, clock);
  if (!shard.ok()) {
    HIKYAKU_CHECK(absl::IsDataLoss(shard.status()) || absl::IsFailedPrecondition(shard.status()));
    return 0;
  }
  v1::ResumeRequest resume;
  resume.set_domain(kSoundDomain);
  HIKYAKU_CHECK(Await<v1::ResumeResponse>([&](auto done) { (*shard)->Resume(resume, std::move(done)); }).ok());
  Ask(**shard);
  const std::string id(16, 's'), body = "Subject: sound\r\n\r\nbody\r\n";
  Send(**shard, id, body);
  {
    Worker worker(**shard);
    Operate(**shard, operations);
    worker.Run(body);
  }
  v1::GetMessageRequest request;
  request.set_message_id(hikyaku::MessageId::FromBytes(id)->text());
  const auto found = Await<v1::GetMessageResponse>([&](auto done) { (*shard)->GetMessage(request, std::move(done)); });
  HIKYAKU_CHECK(found.ok() && found->message_id() == request.message_id());
  if ((operations & 4) != 0) clock.Advance(absl::Hours(24 * 6));
  Ask(**shard);
  return 0;
}
