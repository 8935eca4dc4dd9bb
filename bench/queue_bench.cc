// How fast is the engine alone? Takes in 4 KiB mails, leases and delivers them in one process, with every sync on.
//
//   bazel run //bench:queue_bench -- --mails 300000 --folder /var/tmp/bench
//   bazel run //bench:queue_bench -- --mails 1000000 --backlog 1     all in, restart, all out
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/message_id.h"
#include "lib/queue/local_shard.h"

namespace hikyaku::queue {
namespace {

struct Plan {
  int mails = 200'000;
  int in_flight = 512;  // Senders that wait for their answer.
  int domains = 200;
  int senders = 1;
  std::size_t size = 4096;
  bool backlog = false;
  std::uint64_t min_free = std::uint64_t{1} << 30;
  std::string folder = "/tmp/hikyaku-queue-bench";
};

// Answers each lease at once with "delivered", from threads of its own.
class Deliverer : public LeaseListener {
 public:
  explicit Deliverer(Shard& shard) : stream_(shard.OpenLeases("bench", this)), thread_([this] { Run(); }) {
    stream_->Grant(1000);
  }
  ~Deliverer() override {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    thread_.join();
    stream_ = nullptr;
  }

  void OnLease(Lease lease) override {
    absl::MutexLock lock(&mu_);
    waiting_.push_back({lease.id, lease.delivery.recipients_size()});
  }
  void OnRecorded(std::uint64_t) override { ++recorded_; }
  void OnRevoked(std::uint64_t) override {}
  void OnClosed(absl::Status) override {}
  int recorded() const { return recorded_; }

 private:
  struct Work {
    std::uint64_t lease;
    int recipients;
  };
  void Run() {
    while (true) {
      std::deque<Work> work;
      {
        absl::MutexLock lock(&mu_);
        const auto something = [this] { return stopping_ || !waiting_.empty(); };
        mu_.Await(absl::Condition(&something));
        if (stopping_) return;
        work.swap(waiting_);
      }
      for (const Work& each : work) {
        internal::v1::Verdict verdict;
        verdict.set_lease(each.lease);
        for (int i = 0; i < each.recipients; ++i) {
          v1::Outcome& outcome = *verdict.add_outcomes();
          outcome.set_kind(v1::Outcome::KIND_DELIVERED);
          outcome.set_smtp_code(250);
          outcome.set_enhanced_code("2.0.0");
          outcome.set_text("250 2.0.0 Ok: queued as 4F2C81A03B");
          outcome.set_remote_host("mx1.example.net [192.0.2.1]:25");
        }
        stream_->Report(std::move(verdict));
      }
      stream_->Grant(work.size());
    }
  }

  std::atomic<int> recorded_{0};
  absl::Mutex mu_;
  std::deque<Work> waiting_;
  bool stopping_ = false;
  std::unique_ptr<LeaseStream> stream_;
  std::thread thread_;
};

internal::v1::EnqueueRequest MakeMail(const Plan& plan, const std::string& body, int number) {
  internal::v1::EnqueueRequest request;
  storage::v1::Envelope& envelope = *request.mutable_envelope();
  const MessageId id = MessageId::Generate(absl::Now());
  envelope.set_message_id(std::string(id.bytes()));
  envelope.set_tenant("default");
  envelope.set_sender("bounces@sender.example.org");
  envelope.set_message_id_header(absl::StrCat(id.text(), "@sender.example.org"));
  request.set_body(body);
  internal::v1::Destination& destination = *request.add_destinations();
  destination.set_domain(absl::StrCat("domain", number % plan.domains, ".example.net"));
  destination.add_recipients(absl::StrCat("user", number, "@", destination.domain()));
  return request;
}

double Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::unique_ptr<LocalShard> Open(const Plan& plan) {
  Options options;
  options.data_dir = plan.folder;
  options.domain_concurrency = 1000;
  options.min_free_disk = plan.min_free;
  auto opened = LocalShard::Open(options, Clock::System());
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(opened);
}

// Hands all mails in, with a bounded number unanswered. Gives the number that was refused.
int SendAll(const Plan& plan, LocalShard& shard) {
  const std::string body(plan.size, 'x');
  absl::Mutex mu;
  int in_flight = 0;
  std::atomic<int> failed{0}, next{0};
  const auto send = [&] {
    for (int i; (i = next++) < plan.mails;) {
      internal::v1::EnqueueRequest request = MakeMail(plan, body, i);
      {
        absl::MutexLock lock(&mu);
        const auto room = [&] { return in_flight < plan.in_flight; };
        mu.Await(absl::Condition(&room));
        ++in_flight;
      }
      shard.Enqueue(std::move(request), [&](absl::StatusOr<internal::v1::EnqueueResponse> answer) {
        failed += !answer.ok();
        absl::MutexLock lock(&mu);
        --in_flight;
      });
    }
  };
  std::vector<std::thread> senders;
  for (int i = 0; i < plan.senders; ++i) senders.emplace_back(send);
  for (std::thread& sender : senders) sender.join();
  absl::MutexLock lock(&mu);
  const auto idle = [&] { return in_flight == 0; };
  mu.Await(absl::Condition(&idle));
  return failed;
}

void AwaitRecorded(const Deliverer& deliverer, int count) {
  while (deliverer.recorded() < count) absl::SleepFor(absl::Milliseconds(1));
}

v1::ShardCheck Check(LocalShard& shard) {
  v1::ShardCheck check;
  absl::Mutex mu;
  bool done = false;
  shard.CheckQueue([&](absl::StatusOr<v1::CheckQueueResponse> answer) {
    absl::MutexLock lock(&mu);
    if (answer.ok()) check = answer->shards(0);
    done = true;
  });
  absl::MutexLock lock(&mu);
  mu.Await(absl::Condition(&done));
  return check;
}

double Commits() {
  const std::string exposition = metrics::Exposition();
  const std::size_t at = exposition.find("\nhikyaku_queue_commits_total{");
  return at == std::string::npos ? 0 : std::atof(exposition.c_str() + exposition.find(' ', at));
}

// Mail comes in and goes out at the same time.
int RunThrough(const Plan& plan) {
  std::unique_ptr<LocalShard> shard = Open(plan);
  auto deliverer = std::make_unique<Deliverer>(*shard);
  const auto start = std::chrono::steady_clock::now();
  const int failed = SendAll(plan, *shard);
  AwaitRecorded(*deliverer, plan.mails - failed);
  const double seconds = Since(start);
  deliverer = nullptr;
  const v1::ShardCheck check = Check(*shard);
  std::printf("%d mails of %zu bytes in %.2f s: %.0f mails/s, %.3f syncs a mail, %d failed, %d problems, %d left\n",
              plan.mails, plan.size, seconds, plan.mails / seconds, Commits() / plan.mails, failed,
              check.problems_size(), static_cast<int>(check.deliveries()));
  return failed == 0 && check.problems_size() == 0 ? 0 : 1;
}

// Everything comes in first, the shard restarts, then everything goes out.
int RunBacklog(const Plan& plan) {
  std::unique_ptr<LocalShard> shard = Open(plan);
  auto start = std::chrono::steady_clock::now();
  SendAll(plan, *shard);
  const double in = Since(start);
  shard = nullptr;
  start = std::chrono::steady_clock::now();
  shard = Open(plan);
  const double open = Since(start);
  start = std::chrono::steady_clock::now();
  auto deliverer = std::make_unique<Deliverer>(*shard);
  AwaitRecorded(*deliverer, 1);
  const double first = Since(start);
  AwaitRecorded(*deliverer, plan.mails);
  const double out = Since(start);
  deliverer = nullptr;
  const v1::ShardCheck check = Check(*shard);
  std::printf(
      "in: %.0f mails/s; restart with %d queued: %.2f s, first lease after %.3f s; out: %.0f mails/s; %d problems\n",
      plan.mails / in, plan.mails, open, first, plan.mails / out, check.problems_size());
  return check.problems_size() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hikyaku::queue

int main(int argc, char** argv) {
  hikyaku::queue::Plan plan;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--mails") plan.mails = std::atoi(argv[i + 1]);
    if (name == "--in_flight") plan.in_flight = std::atoi(argv[i + 1]);
    if (name == "--domains") plan.domains = std::atoi(argv[i + 1]);
    if (name == "--senders") plan.senders = std::atoi(argv[i + 1]);
    if (name == "--size") plan.size = std::strtoul(argv[i + 1], nullptr, 10);
    if (name == "--backlog") plan.backlog = std::atoi(argv[i + 1]) != 0;
    if (name == "--min_free") plan.min_free = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--folder") plan.folder = argv[i + 1];
  }
  std::filesystem::remove_all(plan.folder);
  return plan.backlog ? hikyaku::queue::RunBacklog(plan) : hikyaku::queue::RunThrough(plan);
}
