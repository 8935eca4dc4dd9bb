#include "lib/mta_sts/fetch.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/mta_sts/response_reader.h"
#include "lib/net/deadline.h"
#include "lib/net/endpoint.h"
#include "lib/tls/tls_stream.h"

namespace hikyaku::mta_sts {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
constexpr std::size_t kMaxAddresses = 4;
constexpr absl::Duration kLookUpLimit = absl::Seconds(20);
// Of each, so that one address that is silent leaves time for another.
constexpr absl::Duration kConnectLimit = absl::Seconds(10);
constexpr absl::Duration kHandshakeLimit = absl::Seconds(15);
constexpr absl::Duration kIdleLimit = absl::Seconds(15);

Fetched Failed(FetchResult result, std::string why) {
  Fetched fetched;
  fetched.result = result;
  fetched.why = std::move(why);
  return fetched;
}

Fetched Failed(FetchResult otherwise, const absl::Status& why) {
  return Failed(absl::IsCancelled(why) ? FetchResult::kCancelled : otherwise, std::string(why.message()));
}

// A certificate that is not theirs at one address may be theirs at the next; what another answers ends the fetch.
bool MayGoOn(const Fetched& fetched) {
  switch (fetched.result) {
    case FetchResult::kUnreachable:
    case FetchResult::kCertificate:
    case FetchResult::kTls: return true;
    default: return false;
  }
}

awaitable<Fetched> Read(tls::TlsStream& stream) {
  ResponseReader reader;
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
      co_return Failed(FetchResult::kHttp, got.status());
    }
    if (!done.ok()) co_return Failed(FetchResult::kHttp, done.status());
    if (!*done) continue;
    auto policy = ParsePolicy(reader.body());
    if (!policy.ok()) co_return Failed(FetchResult::kInvalid, policy.status());
    Fetched fetched;
    fetched.text = reader.body();
    fetched.policy = *std::move(policy);
    co_return fetched;
  }
}

awaitable<Fetched> FetchFrom(const Web& web, const std::string& host, net::Endpoint at) {
  net::DialOptions options;
  options.limit = kConnectLimit;
  auto dialled = co_await web.dialer->Dial(at, std::move(options));
  if (!dialled.ok()) co_return Failed(FetchResult::kUnreachable, dialled.status());
  tls::PeerPolicy proof;
  proof.host = host;
  proof.enforce = true;
  tls::Handshake shaken =
      co_await tls::HandshakeAsClient(web.context, *std::move(dialled), std::move(proof), kHandshakeLimit);
  if (!shaken.status.ok()) {
    const bool unproved = absl::IsFailedPrecondition(shaken.status);
    co_return Failed(unproved ? FetchResult::kCertificate : FetchResult::kTls, shaken.status);
  }
  const std::string request =
      absl::StrCat("GET ", kPolicyPath, " HTTP/1.1\r\nHost: ", host,
                   "\r\nAccept: text/plain\r\nUser-Agent: hikyaku\r\nConnection: close\r\n\r\n");
  const absl::Status written = co_await shaken.stream->WriteAll(request, kIdleLimit);
  if (!written.ok()) co_return Failed(FetchResult::kHttp, written);
  co_return co_await Read(*shaken.stream);
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

awaitable<absl::StatusOr<Fetched>> FetchFromAny(Web web, std::string host) {
  const auto found = co_await web.resolver.ResolveAddresses(host, kLookUpLimit);
  if (!found.ok()) co_return Failed(FetchResult::kNoAddress, found.status());
  if (found->records.empty()) co_return Failed(FetchResult::kNoAddress, absl::StrCat(host, " has no address"));
  Fetched last;
  for (const address::IpAddress& address : ToTry(found->records)) {
    net::Endpoint at;
    at.address = address;
    at.port = kHttpsPort;
    last = co_await FetchFrom(web, host, at);
    if (!MayGoOn(last)) break;
  }
  co_return last;
}

}  // namespace

absl::string_view FetchResultName(FetchResult result) {
  switch (result) {
    case FetchResult::kOk: return "ok";
    case FetchResult::kNoAddress: return "no_address";
    case FetchResult::kUnreachable: return "unreachable";
    case FetchResult::kCertificate: return "certificate";
    case FetchResult::kTls: return "tls";
    case FetchResult::kHttp: return "http";
    case FetchResult::kTimeout: return "timeout";
    case FetchResult::kInvalid: return "invalid";
    case FetchResult::kCancelled: return "cancelled";
  }
  return "?";
}

std::string PolicyHost(absl::string_view domain) { return absl::StrCat("mta-sts.", domain); }

awaitable<Fetched> Fetch(Web web, std::string domain) {
  std::string host = PolicyHost(domain);
  awaitable<absl::StatusOr<Fetched>> work = FetchFromAny(std::move(web), std::move(host));
  absl::StatusOr<Fetched> fetched = co_await net::WithDeadline(kFetchLimit, std::move(work));
  if (!fetched.ok()) co_return Failed(FetchResult::kTimeout, fetched.status());
  co_return *std::move(fetched);
}

}  // namespace hikyaku::mta_sts
