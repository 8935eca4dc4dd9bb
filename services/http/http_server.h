// The HTTP door for operators: /metrics, /healthz, /readyz. Small on purpose: GET and HEAD, no body, one listener.
//
// Source:    RFC 9110 and 9112, parsed by Boost.Beast.
// Threading: Start and Stop from one thread; `handle` runs on the pool's threads and must not block.
#ifndef HIKYAKU_SERVICES_HTTP_HTTP_SERVER_H_
#define HIKYAKU_SERVICES_HTTP_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/net/endpoint.h"
#include "lib/net/io_pool.h"
#include "lib/net/listener.h"

namespace hikyaku::http {

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// `path` without its query.
using Handle = std::function<Response(absl::string_view path)>;

class HttpServer {
 public:
  // A request header larger than this is refused with 431; a connection idle for longer than kIdle is closed.
  static constexpr std::size_t kMaxHeader = 8 * 1024;
  static constexpr absl::Duration kIdle = absl::Seconds(30);

  // Errors as of net::Listener::Start. `pool` outlives the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(net::IoPool& pool, const net::Endpoint& at, Handle handle);

  const net::Endpoint& bound() const { return listener_->bound(); }

  // Closes at once: a scrape that is cut is scraped again.
  void Stop();

 private:
  explicit HttpServer(std::unique_ptr<net::Listener> listener) : listener_(std::move(listener)) {}

  std::unique_ptr<net::Listener> listener_;
};

// What /healthz, /readyz and /metrics answer. `not_ready` gives the first true reason, or nothing.
Handle OperatorPages(std::function<std::string()> not_ready);

}  // namespace hikyaku::http

#endif  // HIKYAKU_SERVICES_HTTP_HTTP_SERVER_H_
