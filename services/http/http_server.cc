#include "services/http/http_server.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/buffer.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/status.hpp"
#include "lib/base/log.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::http {
namespace {

namespace beast = boost::beast::http;
using Parser = beast::request_parser<beast::empty_body>;

constexpr std::size_t kMaxConnections = 200;
constexpr absl::Duration kWriteLimit = absl::Seconds(10);
constexpr char kMethods[] = "only GET and HEAD, without a body\n";

std::string Serialise(const Response& response, bool keep_alive, bool with_body) {
  const auto reason = beast::obsolete_reason(static_cast<beast::status>(response.status));
  return absl::StrCat("HTTP/1.1 ", response.status, " ", absl::string_view(reason.data(), reason.size()),
                      "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(),
                      "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: ",
                      keep_alive ? "keep-alive" : "close", "\r\n\r\n", with_body ? response.body : "");
}

Response Answer(const Parser& parser, const Handle& handle) {
  const auto& request = parser.get();
  if (request.method() != beast::verb::get && request.method() != beast::verb::head) {
    return {405, "text/plain; charset=utf-8", kMethods};
  }
  absl::string_view target(request.target().data(), request.target().size());
  return handle(target.substr(0, target.find('?')));
}

// To what the parser gave up on. No request that this server takes has a body.
Response Refusal(const boost::system::error_code& error) {
  constexpr char kText[] = "text/plain; charset=utf-8";
  if (error == beast::error::body_limit) return {405, kText, kMethods};
  return {error == beast::error::header_limit ? 431 : 400, kText, "not a request that this server takes\n"};
}

// One header's worth of bytes, and what of the next request came with it.
struct Input {
  std::array<char, HttpServer::kMaxHeader> bytes;
  std::size_t filled = 0;

  void Drop(std::size_t used) {
    std::copy(bytes.begin() + used, bytes.begin() + filled, bytes.begin());
    filled -= used;
  }
};

// Reads until `parser` has a whole request. False: the peer has gone, was silent, or did not speak HTTP; `refusal` is
// set where that deserves an answer.
awaitable<bool> ReadRequest(net::Stream& stream, Input& input, Parser& parser, std::optional<Response>& refusal) {
  while (true) {
    boost::system::error_code error;
    const std::size_t used = parser.put(boost::asio::buffer(input.bytes.data(), input.filled), error);
    input.Drop(used);
    if (error && error != beast::error::need_more) {
      refusal = Refusal(error);
      co_return false;
    }
    if (parser.is_done()) co_return true;
    if (input.filled == input.bytes.size()) {
      refusal = Response{431, "text/plain; charset=utf-8", "the request header is too large\n"};
      co_return false;
    }
    const auto got = co_await stream.ReadSome(input.bytes.data() + input.filled, input.bytes.size() - input.filled,
                                              HttpServer::kIdle);
    if (!got.ok()) co_return false;
    input.filled += *got;
  }
}

awaitable<void> Serve(std::unique_ptr<net::Stream> stream, std::shared_ptr<const Handle> handle) {
  auto input = std::make_unique<Input>();
  while (true) {
    Parser parser;
    parser.header_limit(HttpServer::kMaxHeader);
    parser.body_limit(0);
    parser.eager(true);
    std::optional<Response> refusal;
    const bool whole = co_await ReadRequest(*stream, *input, parser, refusal);
    if (!whole && !refusal) co_return;
    const bool keep_alive = whole && parser.keep_alive();
    const bool with_body = !whole || parser.get().method() != beast::verb::head;
    const std::string bytes = Serialise(whole ? Answer(parser, *handle) : *refusal, keep_alive, with_body);
    const absl::Status written = co_await stream->WriteAll(bytes, kWriteLimit);
    if (!written.ok() || !keep_alive) co_return;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(net::IoPool& pool, const net::Endpoint& at,
                                                              Handle handle) {
  auto shared = std::make_shared<const Handle>(std::move(handle));
  net::ListenerOptions options;
  options.at = at;
  net::Admission::Caps caps;
  caps.total = kMaxConnections;
  options.admission = std::make_shared<net::Admission>(caps);
  auto listener = net::Listener::Start(pool, std::move(options), [shared](std::unique_ptr<net::Stream> stream) {
    return Serve(std::move(stream), shared);
  });
  if (!listener.ok()) return listener.status();
  return std::unique_ptr<HttpServer>(new HttpServer(*std::move(listener)));
}

void HttpServer::Stop() {
  listener_->Stop();
  listener_->Drain(absl::ZeroDuration());
}

Handle OperatorPages(std::function<std::string()> not_ready) {
  return [not_ready = std::move(not_ready)](absl::string_view path) -> Response {
    if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics::Exposition()};
    if (path == "/healthz") return {200, "text/plain; charset=utf-8", "ok\n"};
    if (path == "/readyz") {
      const std::string reason = not_ready();
      if (reason.empty()) return {200, "text/plain; charset=utf-8", "ok\n"};
      return {503, "text/plain; charset=utf-8", absl::StrCat("not ready: ", reason, "\n")};
    }
    return {404, "text/plain; charset=utf-8", "this server has /metrics, /healthz and /readyz\n"};
  };
}

}  // namespace hikyaku::http
