// Tells ThreadSanitizer about Abseil's locks. Debian's Abseil is a library without instrumentation, so that TSan sees
// no order between two owners of an absl::Mutex and reports races that do not exist. This file, linked only under
// --config=tsan, stands before the library's functions (the linker takes ours first) and adds the order that they make.
//
// The names are mangled by hand because a class cannot be defined twice; they change with Abseil's inline namespace.
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>

extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);

namespace {

// The mutex that this thread waits for or is about to unlock: conditions are evaluated under it.
thread_local void* current = nullptr;

template <typename Function>
Function Next(const char* name) {
  auto* found = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  if (found == nullptr) std::abort();
  return found;
}

// Locks, and orders what follows after the last owner.
#define ACQUIRES(mangled)                                     \
  void mangled(void* self) {                                  \
    static const auto next = Next<void (*)(void*)>(#mangled); \
    next(self);                                               \
    __tsan_acquire(self);                                     \
  }

#define RELEASES(mangled)                                     \
  void mangled(void* self) {                                  \
    static const auto next = Next<void (*)(void*)>(#mangled); \
    __tsan_release(self);                                     \
    current = self;                                           \
    next(self);                                               \
    current = nullptr;                                        \
  }

#define TRIES(mangled)                                        \
  bool mangled(void* self) {                                  \
    static const auto next = Next<bool (*)(void*)>(#mangled); \
    const bool locked = next(self);                           \
    if (locked) __tsan_acquire(self);                         \
    return locked;                                            \
  }

// Gives the mutex away for a while. `release` is false where it is not held at the start.
template <typename Call>
auto Waits(void* mutex, bool release, Call call) {
  if (release) __tsan_release(mutex);
  current = mutex;
  struct Finish {
    void* mutex;
    ~Finish() {
      current = nullptr;
      __tsan_acquire(mutex);
    }
  } finish{mutex};
  return call();
}

struct Duration {  // absl::Duration, as it is passed.
  std::int64_t high;
  std::uint32_t low;
};

}  // namespace

extern "C" {

ACQUIRES(_ZN4absl7debian35Mutex4LockEv)
ACQUIRES(_ZN4absl7debian35Mutex10ReaderLockEv)
RELEASES(_ZN4absl7debian35Mutex6UnlockEv)
RELEASES(_ZN4absl7debian35Mutex12ReaderUnlockEv)
TRIES(_ZN4absl7debian35Mutex7TryLockEv)
TRIES(_ZN4absl7debian35Mutex13ReaderTryLockEv)
RELEASES(_ZN4absl7debian312Notification6NotifyEv)
ACQUIRES(_ZNK4absl7debian312Notification19WaitForNotificationEv)

bool _ZNK4absl7debian39Condition4EvalEv(const void* self) {
  static const auto next = Next<bool (*)(const void*)>("_ZNK4absl7debian39Condition4EvalEv");
  if (current == nullptr) return next(self);
  __tsan_acquire(current);
  const bool holds = next(self);
  __tsan_release(current);
  return holds;
}

#define CONDITION_WAIT(mangled, release)                                   \
  void mangled(void* self, const void* condition) {                        \
    static const auto next = Next<void (*)(void*, const void*)>(#mangled); \
    Waits(self, release, [&] { next(self, condition); });                  \
  }

#define CONDITION_WAIT_FOR(mangled, release)                                         \
  bool mangled(void* self, const void* condition, Duration limit) {                  \
    static const auto next = Next<bool (*)(void*, const void*, Duration)>(#mangled); \
    return Waits(self, release, [&] { return next(self, condition, limit); });       \
  }

CONDITION_WAIT(_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE, true)
CONDITION_WAIT(_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE, false)
CONDITION_WAIT(_ZN4absl7debian35Mutex14ReaderLockWhenERKNS0_9ConditionE, false)
CONDITION_WAIT_FOR(_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE, true)
CONDITION_WAIT_FOR(_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE, true)
CONDITION_WAIT_FOR(_ZN4absl7debian35Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE, false)
CONDITION_WAIT_FOR(_ZN4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE, false)

void _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(void* self, void* mutex) {
  static const auto next = Next<void (*)(void*, void*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  Waits(mutex, true, [&] { next(self, mutex); });
}

#define CONDVAR_WAIT_FOR(mangled)                                              \
  bool mangled(void* self, void* mutex, Duration limit) {                      \
    static const auto next = Next<bool (*)(void*, void*, Duration)>(#mangled); \
    return Waits(mutex, true, [&] { return next(self, mutex, limit); });       \
  }

CONDVAR_WAIT_FOR(_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE)
CONDVAR_WAIT_FOR(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)

}  // extern "C"
