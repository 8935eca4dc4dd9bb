// Fills queues for bench/backlog.
//
//   backlog_load send --address 127.0.0.1:7025 --mails 1000000 --domains 100000
//                     by the public gRPC door (SendMailStream): accepted means synced
//   backlog_load fill --folder DIR --mails 10000000 --domains 100000
//                     by LocalShard::Enqueue in this process, on the data folder of a node that is stopped; each group
//                     is synced as always, but no RPC and no submission is on the way
//   backlog_load refuse --address 127.0.0.1:53
//                     no filler: a DNS server that answers SERVFAIL to everything
//
// More: --from N (number of the first mail), --size BYTES, --word W (domains are W0.test, W1.test, …; with --domains 1
// just W.test), --soonest S and --latest S (seconds from now, spread evenly; 0 and 0: due at once), --streams N.
// Prints one line of JSON: {"accepted": …, "seconds": …}. Exit 1 if any mail was refused.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpcpp/grpcpp.h"
#include "hikyaku/v1/mail.grpc.pb.h"
#include "lib/base/clock.h"
#include "lib/base/message_id.h"
#include "lib/queue/local_shard.h"

namespace hikyaku {
namespace {

struct Plan {
  std::string address = "127.0.0.1:7025", folder, word = "d";
  std::int64_t mails = 1000, from = 0, domains = 100, soonest = 0, latest = 0;
  std::size_t size = 4096;
  int streams = 4;

  std::string Domain(std::int64_t number) const {
    return domains == 1 ? absl::StrCat(word, ".test") : absl::StrCat(word, number % domains, ".test");
  }
  // When the mail is due; nothing: now. Neighbours in number are far apart in time, as in a real queue.
  std::int64_t DueMicros(std::int64_t number) const {
    if (latest == 0) return 0;
    const std::int64_t span = std::max<std::int64_t>(latest - soonest, 1) * 1'000'000;
    const auto mixed = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) * 0x9E3779B97F4A7C15u >> 20);
    return absl::GetCurrentTimeNanos() / 1000 + soonest * 1'000'000 + mixed % span;
  }
};

// Text in lines, of about that many bytes.
std::string Text(std::size_t size) {
  std::string text;
  while (text.size() < size) text += "The courier runs through the night, and the letter is dry when it arrives.\n";
  return text;
}

int Tell(std::int64_t accepted, std::int64_t wanted, std::chrono::steady_clock::time_point start) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("{\"accepted\": %lld, \"seconds\": %.3f}\n", static_cast<long long>(accepted), seconds);
  return accepted == wanted ? 0 : 1;
}

// ---- By gRPC. ----

v1::SendMailStreamRequest MakeRequest(const Plan& plan, std::int64_t number, const std::string& text) {
  v1::SendMailStreamRequest item;
  item.set_tag(static_cast<std::uint64_t>(number));
  v1::SendMailRequest& request = *item.mutable_request();
  v1::Content& content = *request.mutable_content();
  content.mutable_from()->set_address("alice@ours.test");
  content.add_to()->set_address(absl::StrCat("user", number, "@", plan.Domain(number)));
  content.set_subject("A letter");
  content.set_text(text);
  if (const std::int64_t due = plan.DueMicros(number); due > 0) {
    request.mutable_not_before()->set_seconds(due / 1'000'000);
    request.mutable_not_before()->set_nanos(static_cast<int>(due % 1'000'000) * 1000);
  }
  return item;
}

// One stream with the numbers that `next` deals out. The server bounds what is unanswered.
std::int64_t RunStream(const Plan& plan, std::atomic<std::int64_t>& next) {
  const auto channel = grpc::CreateCustomChannel(plan.address, grpc::InsecureChannelCredentials(), [] {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each stream.
    return arguments;
  }());
  const auto stub = v1::MailService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->SendMailStream(&context);
  std::int64_t accepted = 0;
  std::thread reader([&] {
    v1::SendMailStreamResponse answer;
    bool told = false;
    while (stream->Read(&answer)) {
      accepted += answer.has_response();
      if (answer.has_response() || std::exchange(told, true)) continue;
      std::fprintf(stderr, "refused: %s\n", answer.error().ShortDebugString().c_str());
    }
  });
  const std::string text = Text(plan.size);
  const std::int64_t end = plan.from + plan.mails;
  for (std::int64_t number; (number = next++) < end;) {
    if (!stream->Write(MakeRequest(plan, number, text))) break;
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  if (!status.ok()) std::fprintf(stderr, "stream: %s\n", status.error_message().c_str());
  return accepted;
}

int Send(const Plan& plan) {
  std::atomic<std::int64_t> next{plan.from}, accepted{0};
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < plan.streams; ++i) threads.emplace_back([&] { accepted += RunStream(plan, next); });
  for (std::thread& thread : threads) thread.join();
  return Tell(accepted, plan.mails, start);
}

// ---- In process. ----

internal::v1::EnqueueRequest MakeMail(const Plan& plan, std::int64_t number, const std::string& body) {
  internal::v1::EnqueueRequest request;
  storage::v1::Envelope& envelope = *request.mutable_envelope();
  const MessageId id = MessageId::Generate(absl::Now());
  envelope.set_message_id(std::string(id.bytes()));
  envelope.set_tenant("default");
  envelope.set_sender("alice@ours.test");
  envelope.set_message_id_header(absl::StrCat(id.text(), "@ours.test"));
  request.set_due_micros(plan.DueMicros(number));
  request.set_body(body);
  auto& destination = *request.add_destinations();
  destination.set_domain(plan.Domain(number));
  destination.add_recipients(absl::StrCat("user", number, "@", destination.domain()));
  return request;
}

int Fill(const Plan& plan) {
  constexpr int kInFlight = 2000;
  queue::Options options;
  options.data_dir = plan.folder;
  auto opened = queue::LocalShard::Open(std::move(options), Clock::System());
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    return 1;
  }
  const std::unique_ptr<queue::LocalShard> shard = *std::move(opened);
  const std::string body = absl::StrCat("Subject: A letter\r\n\r\n", std::string(plan.size, 'x'), "\r\n");
  absl::Mutex mu;
  int in_flight = 0;
  std::int64_t accepted = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t number = plan.from; number < plan.from + plan.mails; ++number) {
    auto mail = MakeMail(plan, number, body);
    {
      absl::MutexLock lock(&mu);
      const auto room = [&] { return in_flight < kInFlight; };
      mu.Await(absl::Condition(&room));
      ++in_flight;
    }
    shard->Enqueue(std::move(mail), [&](const auto& answer) {
      absl::MutexLock lock(&mu);
      accepted += answer.ok();
      --in_flight;
    });
  }
  {
    absl::MutexLock lock(&mu);
    const auto idle = [&] { return in_flight == 0; };
    mu.Await(absl::Condition(&idle));
  }
  return Tell(accepted, plan.mails, start);
}

// ---- DNS. ----

int Refuse(const Plan& plan) {
  const std::size_t colon = plan.address.rfind(':');
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(std::atoi(plan.address.c_str() + colon + 1)));
  inet_pton(AF_INET, plan.address.substr(0, colon).c_str(), &at.sin_addr);
  const int server = socket(AF_INET, SOCK_DGRAM, 0);
  if (server < 0 || bind(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
    std::perror("bind");
    return 1;
  }
  while (true) {
    unsigned char packet[512];
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    const ssize_t got = recvfrom(server, packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (got < 12) continue;
    // The question, without what came behind it (EDNS).
    ssize_t end = 12;
    while (end < got && packet[end] != 0) end += packet[end] + 1;
    end += 5;
    if (end > got) continue;
    packet[2] |= 0x80;  // An answer,
    packet[3] = 0x82;   // recursion available: SERVFAIL.
    std::memset(packet + 6, 0, 6);
    sendto(server, packet, static_cast<std::size_t>(end), 0, reinterpret_cast<const sockaddr*>(&peer), length);
  }
}

int Run(int argc, char** argv) {
  Plan plan;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--address") plan.address = value;
    if (name == "--folder") plan.folder = value;
    if (name == "--word") plan.word = value;
    if (name == "--mails") plan.mails = std::atoll(value.c_str());
    if (name == "--from") plan.from = std::atoll(value.c_str());
    if (name == "--domains") plan.domains = std::max(1LL, std::atoll(value.c_str()));
    if (name == "--soonest") plan.soonest = std::atoll(value.c_str());
    if (name == "--latest") plan.latest = std::atoll(value.c_str());
    if (name == "--size") plan.size = std::strtoul(value.c_str(), nullptr, 10);
    if (name == "--streams") plan.streams = std::max(1, std::atoi(value.c_str()));
  }
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "send") return Send(plan);
  if (what == "fill" && !plan.folder.empty()) return Fill(plan);
  if (what == "refuse") return Refuse(plan);
  std::fprintf(stderr, "usage: backlog_load send|fill|refuse [--name value]…: see bench/backlog_load.cc\n");
  return 2;
}

}  // namespace
}  // namespace hikyaku

int main(int argc, char** argv) { return hikyaku::Run(argc, argv); }
