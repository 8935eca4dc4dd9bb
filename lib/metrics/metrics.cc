#include "lib/metrics/metrics.h"

#include <exception>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/check.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace hikyaku::metrics {
namespace {

constexpr absl::string_view kPrefix = "hikyaku_";

// Never destroyed: threads may outlive main.
prometheus::Registry& TheRegistry() {
  static auto* registry = new prometheus::Registry;
  return *registry;
}

struct Hooks {
  absl::Mutex mutex;
  int last ABSL_GUARDED_BY(mutex) = 0;
  std::map<int, std::function<void()>> by_id ABSL_GUARDED_BY(mutex);
};

Hooks& TheHooks() {
  static auto* hooks = new Hooks;
  return *hooks;
}

// The library throws for a bad name and for one name with two types: both are slips in our code.
template <typename Declare>
auto& Checked(const std::string& name, Declare declare) {
  HIKYAKU_CHECK(absl::string_view(name).substr(0, kPrefix.size()) == kPrefix);
  try {
    return declare();
  } catch (const std::exception& error) {
    CheckFailed(__FILE__, __LINE__, name + ": " + error.what());
  }
}

}  // namespace

const std::vector<double>& LatencyBuckets() {
  static const auto* buckets = new std::vector<double>{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return *buckets;
}

const std::vector<double>& AgeBuckets() {
  static const auto* buckets = new std::vector<double>{
      0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14400, 43200, 86400, 259200, 432000};
  return *buckets;
}

const std::vector<double>& CountBuckets() {
  static const auto* buckets = new std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  return *buckets;
}

Counter& DeclareCounter(const std::string& name, const std::string& help, const Labels& labels) {
  return Checked(name, [&]() -> Counter& {
    return prometheus::BuildCounter().Name(name).Help(help).Register(TheRegistry()).Add(labels);
  });
}

Gauge& DeclareGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Checked(name, [&]() -> Gauge& {
    return prometheus::BuildGauge().Name(name).Help(help).Register(TheRegistry()).Add(labels);
  });
}

Histogram& DeclareHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                            const Labels& labels) {
  return Checked(name, [&]() -> Histogram& {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(TheRegistry()).Add(labels, buckets);
  });
}

ScrapeHook::ScrapeHook(std::function<void()> refresh) {
  Hooks& hooks = TheHooks();
  absl::MutexLock lock(&hooks.mutex);
  id_ = ++hooks.last;
  hooks.by_id.emplace(id_, std::move(refresh));
}

ScrapeHook::~ScrapeHook() {
  Hooks& hooks = TheHooks();
  absl::MutexLock lock(&hooks.mutex);
  hooks.by_id.erase(id_);
}

std::string Exposition() {
  {
    Hooks& hooks = TheHooks();
    absl::MutexLock lock(&hooks.mutex);
    for (const auto& [id, refresh] : hooks.by_id) refresh();
  }
  return prometheus::TextSerializer().Serialize(TheRegistry().Collect());
}

}  // namespace hikyaku::metrics
