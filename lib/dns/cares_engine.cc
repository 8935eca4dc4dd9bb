#include "lib/dns/cares_engine.h"

#include <ares.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/check.h"
#include "lib/base/random.h"
#include "lib/base/status_macros.h"

namespace hikyaku::dns {
namespace {

constexpr int kInternet = 1;  // Class IN.

// What a UDP answer may be: fits into every path without fragments (DNS flag day 2020).
constexpr int kUdpPayload = 1232;

absl::Status AresError(int status) {
  const std::string text = absl::StrCat("DNS: ", ares_strerror(status));
  if (status == ARES_ETIMEOUT) return absl::DeadlineExceededError(text);
  if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION) return absl::CancelledError(text);
  return absl::UnavailableError(text);
}

class CaresEngine : public QueryEngine {
 public:
  CaresEngine(std::size_t max_open, bool ask_for_proof) : max_open_(max_open), ask_for_proof_(ask_for_proof) {}
  ~CaresEngine() override;

  absl::Status Start(const CaresOptions& options);
  void Query(std::string name, RecordType type, Done done) override;

 private:
  struct Request {
    CaresEngine* engine;
    std::string name;
    RecordType type;
    Done done;
  };

  static void OnSocketState(void* self, ares_socket_t socket, int readable, int writable);
  static void OnAnswer(void* request, int status, int timeouts, unsigned char* bytes, int size);

  void Send(std::unique_ptr<Request> request);
  void Run();
  bool TakeRequests();
  void PollOnce();
  int TimeoutMillis();

  const std::size_t max_open_;
  const bool ask_for_proof_;
  int wake_ = -1;                     // An eventfd: something was queued, or we stop.
  std::atomic<std::size_t> open_{0};  // Queued or on the wire.

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Request>> queued_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // The thread's own, once it runs.
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, short> sockets_;  // What c-ares waits for on each.
  std::thread thread_;
};

absl::Status CaresEngine::Start(const CaresOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] { HIKYAKU_CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS); });

  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) return absl::UnavailableError("DNS: no eventfd");
  ares_options settings = {};
  settings.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  settings.ednspsz = kUdpPayload;
  settings.timeout = static_cast<int>(absl::ToInt64Milliseconds(options.timeout));
  settings.tries = options.tries;
  settings.sock_state_cb = &OnSocketState;
  settings.sock_state_cb_data = this;
  const int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  if (const int status = ares_init_options(&channel_, &settings, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return absl::UnavailableError(absl::StrCat("DNS: ", ares_strerror(status)));
  }
  if (!options.servers.empty()) {
    const std::string list = absl::StrJoin(options.servers, ",", [](std::string* out, const net::Endpoint& server) {
      absl::StrAppend(out, server.text());
    });
    if (const int status = ares_set_servers_ports_csv(channel_, list.c_str()); status != ARES_SUCCESS) {
      return absl::UnavailableError(absl::StrCat("DNS servers ", list, ": ", ares_strerror(status)));
    }
  }
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "dns");
  return absl::OkStatus();
}

CaresEngine::~CaresEngine() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  if (channel_ != nullptr) ares_destroy(channel_);  // Answers what is open with ARES_EDESTRUCTION.
  for (const auto& request : queued_) request->done(AresError(ARES_ECANCELLED));
  if (wake_ >= 0) close(wake_);
}

void CaresEngine::Query(std::string name, RecordType type, Done done) {
  if (open_.fetch_add(1) >= max_open_) {
    --open_;
    done(absl::UnavailableError("DNS: too many queries wait for an answer"));
    return;
  }
  auto request = std::make_unique<Request>(Request{this, std::move(name), type, std::move(done)});
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    first = queued_.empty();
    queued_.push_back(std::move(request));
  }
  if (first) eventfd_write(wake_, 1);
}

void CaresEngine::Run() {
  while (TakeRequests()) PollOnce();
}

// Hands what is queued to c-ares. False: stop.
bool CaresEngine::TakeRequests() {
  std::vector<std::unique_ptr<Request>> requests;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return false;
    requests.swap(queued_);
  }
  for (auto& request : requests) {
    if (ask_for_proof_) {
      Send(std::move(request));
      continue;
    }
    const std::string name = request->name;  // c-ares may answer, and so free the request, before it returns.
    const int type = static_cast<int>(request->type);
    ares_query(channel_, name.c_str(), kInternet, type, &OnAnswer, request.release());
  }
  return true;
}

// As ares_query, with AD in the header (RFC 6840 §5.7) and DO in the OPT record (RFC 3225), which it cannot set.
void CaresEngine::Send(std::unique_ptr<Request> request) {
  unsigned char* query = nullptr;
  int size = 0;
  const auto id = static_cast<unsigned short>(RandomBelow(0x10000));
  const int made = ares_create_query(request->name.c_str(), kInternet, static_cast<int>(request->type), id,
                                     /*rd=*/1, &query, &size, kUdpPayload);
  if (made != ARES_SUCCESS) {
    OnAnswer(request.release(), made, 0, nullptr, 0);
    return;
  }
  query[3] |= 0x20;  // AD.
  query[size - 4] |=
      0x80;  // DO: the OPT record stands at the end, and these are its flags before the length of nothing.
  ares_send(channel_, query, size, &OnAnswer, request.release());
  ares_free_string(query);
}

void CaresEngine::PollOnce() {
  std::vector<pollfd> polled{{wake_, POLLIN, 0}};
  for (const auto& [socket, events] : sockets_) polled.push_back({socket, events, 0});
  if (poll(polled.data(), polled.size(), TimeoutMillis()) <= 0) {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // Timers.
    return;
  }
  eventfd_t ignored;
  if (polled[0].revents != 0) eventfd_read(wake_, &ignored);
  for (std::size_t i = 1; i < polled.size(); ++i) {
    const short events = polled[i].revents;
    if (events == 0 || sockets_.count(polled[i].fd) == 0) continue;  // Closed meanwhile.
    const bool broken = (events & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    ares_process_fd(channel_, (events & POLLIN) || broken ? polled[i].fd : ARES_SOCKET_BAD,
                    (events & POLLOUT) ? polled[i].fd : ARES_SOCKET_BAD);
  }
}

// Until c-ares has something to do; -1 when it waits for nothing.
int CaresEngine::TimeoutMillis() {
  timeval until;
  if (ares_timeout(channel_, nullptr, &until) == nullptr) return -1;
  return static_cast<int>(until.tv_sec * 1000 + until.tv_usec / 1000 + 1);
}

void CaresEngine::OnSocketState(void* self, ares_socket_t socket, int readable, int writable) {
  auto& sockets = static_cast<CaresEngine*>(self)->sockets_;
  if (!readable && !writable) {
    sockets.erase(socket);
  } else {
    sockets[socket] = static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
  }
}

void CaresEngine::OnAnswer(void* argument, int status, int timeouts, unsigned char* bytes, int size) {
  const std::unique_ptr<Request> request(static_cast<Request*>(argument));
  --request->engine->open_;
  const bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
  if (answered && bytes != nullptr) {
    request->done(std::string(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)));
  } else if (status == ARES_ENOTFOUND) {
    request->done(absl::NotFoundError(absl::StrCat(request->name, " does not exist")));
  } else {
    request->done(AresError(status));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueryEngine>> CreateCaresEngine(CaresOptions options) {
  auto engine = std::make_unique<CaresEngine>(options.max_open, options.ask_for_proof);
  RETURN_IF_ERROR(engine->Start(options));
  return engine;
}

}  // namespace hikyaku::dns
