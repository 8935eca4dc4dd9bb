#include "lib/https/client.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/net/deadline.h"
#include "lib/net/endpoint.h"
#include "lib/tls/tls_stream.h"

namespace hikyaku::https {
namespace {

constexpr std::size_t kMaxAddresses = 4;
constexpr absl::Duration kLookUpLimit = absl::Seconds(20);
// Of each, so that one address that is silent leaves time for another.
constexpr absl::Duration kConnectLimit = absl::Seconds(10);
constexpr absl::Duration kHandshakeLimit = absl::Seconds(15);
constexpr absl::Duration kIdleLimit = absl::Seconds(15);
// A piece of the body is to go out in kIdleLimit.
constexpr std::size_t kPiece = 64 * 1024;

Answer Failed(Result result, std::string why) {
  Answer answer;
  answer.result = result;
  answer.why = std::move(why);
  return answer;
}

Answer Failed(Result otherwise, const absl::Status& why) {
  return Failed(absl::IsCancelled(why) ? Result::kCancelled : otherwise, std::string(why.message()));
}

// A certificate that is not theirs at one address may be theirs at the next; what another answers ends the request.
bool MayGoOn(const Answer& answer) {
  switch (answer.result) {
    case Result::kUnreachable:
    case Result::kCertificate:
    case Result::kTls: return true;
    default: return false;
  }
}

std::string HeadOf(const Request& request) {
  std::string head = absl::StrCat(request.method, " ", request.target, " HTTP/1.1\r\nHost: ", request.host);
  if (request.port != kPort) absl::StrAppend(&head, ":", request.port);
  if (!request.accept.empty()) absl::StrAppend(&head, "\r\nAccept: ", request.accept);
  absl::StrAppend(&head, "\r\nUser-Agent: hikyaku\r\nConnection: close\r\n");
  if (request.body != nullptr) {
    absl::StrAppend(&head, "Content-Type: ", request.body_type, "\r\nContent-Length: ", request.body->size(), "\r\n");
  }
  return absl::StrCat(head, "\r\n");
}

awaitable<absl::Status> Write(tls::TlsStream& stream, const Request& request) {
  const std::string head = HeadOf(request);
  absl::Status written = co_await stream.WriteAll(head, kIdleLimit);
  absl::string_view rest = request.body != nullptr ? absl::string_view(*request.body) : absl::string_view();
  while (written.ok() && !rest.empty()) {
    const absl::string_view piece = rest.substr(0, kPiece);
    rest.remove_prefix(piece.size());
    written = co_await stream.WriteAll(piece, kIdleLimit);
  }
  co_return written;
}

awaitable<Answer> Read(tls::TlsStream& stream, Wanted wanted) {
  ResponseReader reader(wanted);
  std::array<char, 4096> buffer;
  for (;;) {
    const auto got = co_await stream.ReadSome(buffer.data(), buffer.size(), kIdleLimit);
    absl::StatusOr<bool> done = true;
    if (got.ok()) {
      done = reader.Take(absl::string_view(buffer.data(), *got));
    } else if (absl::IsOutOfRange(got.status())) {
      const absl::Status ended = reader.End();
      if (!ended.ok()) done = ended;
    } else {
      done = got.status();
    }
    if (done.ok() && !*done) continue;
    Answer answer = done.ok() ? Answer() : Failed(Result::kHttp, done.status());
    answer.status = reader.status();
    if (done.ok()) answer.body = reader.body();
    co_return answer;
  }
}

awaitable<Answer> AskAt(const Web& web, const Request& request, Wanted wanted, net::Endpoint at) {
  net::DialOptions options;
  options.limit = kConnectLimit;
  auto dialled = co_await web.dialer->Dial(at, std::move(options));
  if (!dialled.ok()) co_return Failed(Result::kUnreachable, dialled.status());
  tls::PeerPolicy proof;
  proof.host = request.host;
  proof.enforce = true;
  tls::Handshake shaken =
      co_await tls::HandshakeAsClient(web.context, *std::move(dialled), std::move(proof), kHandshakeLimit);
  if (!shaken.status.ok()) {
    const bool unproved = absl::IsFailedPrecondition(shaken.status);
    co_return Failed(unproved ? Result::kCertificate : Result::kTls, shaken.status);
  }
  const absl::Status written = co_await Write(*shaken.stream, request);
  if (!written.ok()) co_return Failed(Result::kHttp, written);
  co_return co_await Read(*shaken.stream, wanted);
}

// The families in turn: many machines have no way to the addresses of one of them.
std::vector<address::IpAddress> ToTry(const std::vector<address::IpAddress>& found) {
  std::vector<address::IpAddress> v6, v4, order;
  for (const address::IpAddress& address : found) (address.is_v4() ? v4 : v6).push_back(address);
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) order.push_back(v6[i]);
    if (i < v4.size()) order.push_back(v4[i]);
  }
  order.resize(std::min(order.size(), kMaxAddresses));
  return order;
}

awaitable<absl::StatusOr<Answer>> AskAny(Web web, Request request, Wanted wanted) {
  if (web.context == nullptr) co_return Failed(Result::kTls, "no TLS can be spoken here");
  const auto found = co_await web.resolver.ResolveAddresses(request.host, kLookUpLimit);
  if (!found.ok()) co_return Failed(Result::kNoAddress, found.status());
  if (found->records.empty()) co_return Failed(Result::kNoAddress, absl::StrCat(request.host, " has no address"));
  Answer last;
  for (const address::IpAddress& address : ToTry(found->records)) {
    net::Endpoint at;
    at.address = address;
    at.port = request.port;
    last = co_await AskAt(web, request, wanted, at);
    last.remote = absl::StrCat(request.host, " ",
                               address.is_v4() ? absl::StrCat("[", address.ToString(), "]:", at.port) : at.text());
    if (!MayGoOn(last)) break;
  }
  co_return last;
}

}  // namespace

absl::string_view ResultName(Result result) {
  switch (result) {
    case Result::kOk: return "ok";
    case Result::kNoAddress: return "no_address";
    case Result::kUnreachable: return "unreachable";
    case Result::kCertificate: return "certificate";
    case Result::kTls: return "tls";
    case Result::kHttp: return "http";
    case Result::kTimeout: return "timeout";
    case Result::kCancelled: return "cancelled";
  }
  return "?";
}

awaitable<Answer> Ask(Web web, Request request, Wanted wanted, absl::Duration limit) {
  awaitable<absl::StatusOr<Answer>> work = AskAny(std::move(web), std::move(request), wanted);
  absl::StatusOr<Answer> answer = co_await net::WithDeadline(limit, std::move(work));
  if (!answer.ok()) co_return Failed(Result::kTimeout, answer.status());
  co_return *std::move(answer);
}

}  // namespace hikyaku::https
