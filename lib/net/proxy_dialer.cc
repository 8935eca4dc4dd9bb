#include "lib/net/proxy_dialer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/net/deadline.h"
#include "lib/net/limit.h"
#include "lib/net/proxy_header.h"
#include "lib/net/socks5.h"

namespace hikyaku::net {
namespace {

absl::Status OfProxy(const Proxy& proxy, const absl::Status& why) {
  if (absl::IsCancelled(why)) return why;
  return absl::ResourceExhaustedError(absl::StrCat("proxy ", proxy.at.text(), ": ", why.message()));
}

// The connection to the proxy broke: its fault, unless it only waited for the far end, or we are stopping.
absl::Status Broke(const absl::Status& why) {
  if (absl::IsCancelled(why) || absl::IsDeadlineExceeded(why)) return why;
  return absl::InvalidArgumentError(absl::StrCat("SOCKS proxy: ", why.message()));
}

// `stream` and `socks` outlive the await. What the far end says must stay unread.
awaitable<absl::Status> TalkSocks(Stream& stream, Socks5& socks, absl::Duration limit) {
  std::array<char, 512> buffer;
  Socks5::Step step = socks.Start();
  while (!step.done) {
    const absl::Status written = co_await stream.WriteAll(step.output, limit);
    if (!written.ok()) co_return Broke(written);
    const auto got = co_await stream.ReadSome(buffer.data(), std::min(buffer.size(), socks.wanted()), limit);
    if (!got.ok()) co_return Broke(got.status());
    auto next = socks.Feed(absl::string_view(buffer.data(), *got));
    if (!next.ok()) co_return next.status();
    step = *std::move(next);
  }
  co_return absl::OkStatus();
}

}  // namespace

ProxyDialer::ProxyDialer(EgressGuard guard, std::shared_ptr<Dialer> direct)
    : guard_(std::move(guard)), direct_(std::move(direct)) {}

awaitable<absl::StatusOr<std::unique_ptr<Stream>>> ProxyDialer::Dial(Endpoint to, DialOptions options) {
  if (options.proxy == nullptr || !options.unix_path.empty()) co_return co_await direct_->Dial(to, std::move(options));
  const std::shared_ptr<const Proxy> proxy = options.proxy;
  const TimePoint deadline = SteadyAfter(options.limit);
  to.address = to.address.Unmapped();
  if (!options.named_by_operator) CO_RETURN_IF_ERROR(guard_.Check(to.address));

  DialOptions there;
  there.limit = options.limit;
  there.named_by_operator = true;
  auto stream = co_await direct_->Dial(proxy->at, std::move(there));
  if (!stream.ok()) co_return OfProxy(*proxy, stream.status());
  if (proxy->kind == Proxy::Kind::kHaproxy) {
    const std::string header = ProxyHeader({*options.source, 0}, to);
    const absl::Status written = co_await (*stream)->WriteAll(header, LeftUntil(deadline));
    if (!written.ok()) co_return OfProxy(*proxy, written);
    co_return std::move(stream);
  }
  Socks5 socks(to, proxy->user, proxy->password);
  const absl::Duration left = LeftUntil(deadline);
  const absl::Status talked = co_await WithDeadline(left, TalkSocks(**stream, socks, left));
  // The proxy waits for the far end, so silence is not its own.
  if (absl::IsUnavailable(talked) || absl::IsDeadlineExceeded(talked)) co_return talked;
  if (!talked.ok()) co_return OfProxy(*proxy, talked);
  co_return std::move(stream);
}

}  // namespace hikyaku::net
