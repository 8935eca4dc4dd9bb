// One request to a host of the web, over TLS that proves the host, and its answer: no redirects, no cookies, no second
// request on the connection.
//
// Source:     RFC 9110, RFC 9112; RFC 9525 (the certificate is for the name in the URL).
// Non-goals:  a proxy: the host is asked directly, whatever source the mail leaves from; what an answer means.
// Threading:  a coroutine on any executor.
#ifndef HIKYAKU_LIB_HTTPS_CLIENT_H_
#define HIKYAKU_LIB_HTTPS_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/dns/resolver.h"
#include "lib/https/response_reader.h"
#include "lib/net/asio.h"
#include "lib/net/dialer.h"
#include "lib/tls/context.h"

namespace hikyaku::https {

inline constexpr std::uint16_t kPort = 443;

// What a request needs. It keeps what is shared, and `resolver` outlives it.
struct Web {
  dns::Resolver& resolver;
  std::shared_ptr<net::Dialer> dialer;                // With the egress guard.
  std::shared_ptr<const tls::ClientContext> context;  // Its roots judge the certificate.
};

struct Request {
  std::string method = "GET";
  std::string host;  // A-label, lower case.
  std::uint16_t port = kPort;
  std::string target = "/";  // Path and query: visible ASCII.
  std::string accept;        // Empty: not said.
  std::string body_type;     // Empty: there is no body.
  std::shared_ptr<const std::string> body = {};
};

enum class Result {
  kOk,
  kNoAddress,    // The host cannot be resolved.
  kUnreachable,  // No address of it takes a connection: closed, silent, forbidden by the egress guard.
  kCertificate,  // It did not prove that it is the host.
  kTls,          // The handshake failed otherwise.
  kHttp,         // No answer, or none that the caller can use: see Answer::status.
  kTimeout,      // The whole took longer than the limit.
  kCancelled,    // We are stopping.
};

absl::string_view ResultName(Result result);  // ok, no_address, …

struct Answer {
  Result result = Result::kOk;
  std::string why;     // For people; empty with kOk.
  int status = 0;      // 0: there was no answer.
  std::string body;    // With kOk.
  std::string remote;  // "web.example.net [192.0.2.1]:443", the last that was tried; empty: none was.

  bool ok() const { return result == Result::kOk; }
  bool success() const { return ok() && status >= 200 && status < 300; }  // RFC 9110 §15.3.
};

// `limit` is for the whole of it. Another address is tried where one is not reached or does not prove itself; what one
// answers is the answer.
awaitable<Answer> Ask(Web web, Request request, Wanted wanted, absl::Duration limit);

}  // namespace hikyaku::https

#endif  // HIKYAKU_LIB_HTTPS_CLIENT_H_
