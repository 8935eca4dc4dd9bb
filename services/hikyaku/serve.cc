#include "services/hikyaku/serve.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/config/effective.h"
#include "lib/config/reload.h"
#include "lib/config/validate.h"
#include "services/hikyaku/dkim/key_check.h"
#include "services/hikyaku/heap_trim.h"
#include "services/hikyaku/listen_check.h"
#include "services/hikyaku/node.h"

namespace hikyaku::cli {
namespace {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kWrongUse = 2;
// How often gRPC's health follows /readyz: with the shard's own look at its disk (half a second), within a second.
constexpr timespec kTick{0, 250'000'000};

// What ends or changes the server; blocked in every thread, and awaited by the main one.
sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// Each connection is a descriptor: take all that the system allows (the soft limit is often 1,024).
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Large messages go back to the system as soon as they are done with (glibc would raise this bound after the first of
// them), and few arenas keep few freed pages: memory follows what is in flight, not what once was.
void BoundMalloc() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 4);
}

log::Level LevelFrom(v1::Log::Level level) {
  switch (level) {
    case v1::Log::debug: return log::Level::kDebug;
    case v1::Log::warn: return log::Level::kWarn;
    case v1::Log::error: return log::Level::kError;
    default: return log::Level::kInfo;
  }
}

// The complaints of libraries as lines of our log: gRPC's own (a handshake that failed, say), and protobuf's about text
// that is not UTF-8, which its client is told.
void TakeLibraryLogs() {
  gpr_set_log_function(
      [](gpr_log_func_args* line) { log::Warn("grpc", {{"what", line->message}, {"where", line->file}}); });
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char* file, int, const std::string& what) {
    log::Debug("protobuf", {{"what", what}, {"where", file}});
  });
}

int Complain(const absl::Status& status, int code) {
  std::fprintf(stderr, "hikyaku: %s\n", std::string(status.message()).c_str());
  return code;
}

void Reload(Node& node, const ServeFlags& flags, const v1::Config& running) {
  const auto loaded = config::LoadEffectiveConfig(flags.config_path, flags.role);
  absl::Status status = loaded.status();
  if (status.ok()) status = node.Reload(loaded->config);
  if (!status.ok()) return log::Error("reload_refused", {{"why", status.message()}, {"kept", "the old configuration"}});
  log::SetLevel(LevelFrom(loaded->config.log().level()));
  log::Info("reloaded", {{"config", flags.config_path}});
  for (const std::string& key : config::NeedRestart(running, loaded->config)) {
    log::Warn("reload_needs_restart", {{"key", key}});
  }
}

// Until SIGTERM or SIGINT.
void Run(Node& node, const ServeFlags& flags, const v1::Config& config, const sigset_t& signals) {
  HeapTrim heap;
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &kTick);
    if (signal == SIGTERM || signal == SIGINT) return log::Info("stopping", {{"signal", strsignal(signal)}});
    if (signal == SIGHUP) Reload(node, flags, config);
    node.PublishHealth();
    node.RereadKeys();
    heap.Tick(absl::Now());
  }
}

}  // namespace

int Serve(const ServeFlags& flags) {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Debian builds Abseil for debugging: each lock then goes through one graph of all locks, under a lock of its own.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  RaiseDescriptorLimit();
  BoundMalloc();
  TakeLibraryLogs();

  const auto loaded = config::LoadEffectiveConfig(flags.config_path, flags.role);
  if (!loaded.ok()) return Complain(loaded.status(), kWrongUse);
  if (absl::Status status = config::CheckDataDir(loaded->config, flags.role, loaded->source); !status.ok()) {
    return Complain(status, kWrongUse);
  }
  if (absl::Status status = config::CheckTlsFiles(loaded->config, flags.role, loaded->source); !status.ok()) {
    return Complain(status, kWrongUse);
  }
  if (absl::Status status = CheckDkimKeys(loaded->config, flags.role, loaded->source); !status.ok()) {
    return Complain(status, kWrongUse);
  }
  if (absl::Status status = CheckListeners(loaded->config, flags.role, loaded->source); !status.ok()) {
    return Complain(status, kWrongUse);
  }
  log::SetLevel(LevelFrom(loaded->config.log().level()));

  auto node = Node::Start(loaded->config, flags.role, Clock::System());
  if (!node.ok()) return Complain(node.status(), absl::IsInvalidArgument(node.status()) ? kWrongUse : kFailed);
  log::Info("started", {{"role", config::RoleName(flags.role)}, {"hostname", loaded->config.hostname()}});
  Run(**node, flags, loaded->config, signals);
  (*node)->Stop();
  log::Info("stopped");
  // Not by gRPC's shutdown: docs/adr/0001. Everything is on disk, and the kernel closes the connections.
  std::fflush(nullptr);
  std::_Exit(kDone);
}

}  // namespace hikyaku::cli
