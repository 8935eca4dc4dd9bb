#include "lib/delivery/post.h"

#include <utility>

#include "lib/delivery/verdict.h"
#include "lib/https/url.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

// Look-up, four addresses, handshake and a report of some megabytes; a shard waits much longer for a lease.
constexpr absl::Duration kPostLimit = absl::Minutes(2);

absl::Status TakeAny(int, absl::string_view) { return absl::OkStatus(); }

void Count(absl::string_view result) {
  metrics::DeclareCounter("hikyaku_tls_report_posts_total",
                          "Tries to POST a report on TLS, by what came of them: ok, refused (an answer that is none of "
                          "2xx), http (no answer), bad_url, and as for fetches of MTA-STS policies.",
                          {{"result", std::string(result)}})
      .Increment();
}

absl::string_view ResultOf(const https::Answer& answer) {
  return answer.ok() && !answer.success() ? "refused" : https::ResultName(answer.result);
}

}  // namespace

awaitable<std::optional<outcome::Outcome>> Post(https::Web web, const queue::Lease& lease) {
  const auto url = https::ParseUrl(lease.delivery.recipients(0).address());
  if (!url.ok()) {
    Count("bad_url");
    co_return JudgeBadUrl(url.status());
  }
  https::Request request;
  request.method = "POST";
  request.host = url->host;
  request.port = url->port;
  request.target = url->target;
  request.body_type = lease.delivery.envelope().post_type();
  request.body = lease.body;
  https::Wanted wanted;
  wanted.judge = TakeAny;
  const https::Answer answer = co_await https::Ask(std::move(web), std::move(request), wanted, kPostLimit);
  if (answer.result == https::Result::kCancelled) co_return std::nullopt;
  Count(ResultOf(answer));
  co_return JudgePosted(answer);
}

}  // namespace hikyaku::delivery
