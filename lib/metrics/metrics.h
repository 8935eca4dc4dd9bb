// Metrics: declared where they are counted, at the top of the .cc file, in one registry of the process.
//
//   metrics::Counter& accepted = metrics::DeclareCounter(
//       "hikyaku_submission_messages_total", "Messages accepted.", {{"via", "smtp"}});
//   …
//   accepted.Increment();
//
// Names: hikyaku_<component>_<what>_<unit>[_total], in base units (seconds, bytes); a counter ends in _total. Every
// metric has a help text for the person who reads it at three in the morning. No label takes a value that the outside
// chooses (domain, address, tenant): each value costs memory for ever.
//
// The same name and labels give the same metric again. A wrong name, or one name with two types, is a CHECK.
//
// Threading: safe from every thread. Counting is an atomic addition (a short lock for histograms); declaring takes
// a lock, so hold the reference, which lives for ever.
#ifndef HIKYAKU_LIB_METRICS_METRICS_H_
#define HIKYAKU_LIB_METRICS_METRICS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace hikyaku::metrics {

using Counter = prometheus::Counter;      // Increment(), Increment(by).
using Gauge = prometheus::Gauge;          // Set(to), Increment(), Decrement().
using Histogram = prometheus::Histogram;  // Observe(value).
using Labels = std::map<std::string, std::string>;

// For short waits (a sync, a commit, an answer): 100 µs to 60 s.
const std::vector<double>& LatencyBuckets();

// For long ones (age in the queue, end to end): 10 ms to 5 days.
const std::vector<double>& AgeBuckets();

// For counts (group size): powers of 2 from 1 to 4096.
const std::vector<double>& CountBuckets();

Counter& DeclareCounter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge& DeclareGauge(const std::string& name, const std::string& help, const Labels& labels = {});
Histogram& DeclareHistogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                            const Labels& labels = {});

// Runs `refresh` before each exposition, for gauges that are cheaper to read than to keep. It must be quick, and may
// run on any thread. It is gone when the returned handle is: that waits for a run in progress.
class ScrapeHook {
 public:
  explicit ScrapeHook(std::function<void()> refresh);
  ~ScrapeHook();

  ScrapeHook(const ScrapeHook&) = delete;
  ScrapeHook& operator=(const ScrapeHook&) = delete;

 private:
  int id_;
};

// All metrics in the text format 0.0.4 of Prometheus (content type `text/plain; version=0.0.4`).
std::string Exposition();

}  // namespace hikyaku::metrics

#endif  // HIKYAKU_LIB_METRICS_METRICS_H_
