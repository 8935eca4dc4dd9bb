// Gets the policy of a domain from its policy host, once.
//
// Source:     RFC 8461 §3.3: https://mta-sts.DOMAIN/.well-known/mta-sts.txt, the certificate for mta-sts.DOMAIN, 200
//             only, no redirects, text/plain, a minute and 64 KiB at most.
// Non-goals:  when to (policies.h); how to ask (lib/https/client.h).
// Threading:  a coroutine on any executor.
#ifndef HIKYAKU_LIB_MTA_STS_FETCH_H_
#define HIKYAKU_LIB_MTA_STS_FETCH_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/https/client.h"
#include "lib/mta_sts/policy.h"
#include "lib/net/asio.h"

namespace hikyaku::mta_sts {

using https::Web;

enum class FetchResult {
  kOk,
  kNoAddress,    // mta-sts.DOMAIN cannot be resolved.
  kUnreachable,  // No address of it takes a connection: closed, silent, forbidden by the egress guard.
  kCertificate,  // The host did not prove that it is mta-sts.DOMAIN.
  kTls,          // The handshake failed otherwise.
  kHttp,         // No answer with a policy: another status, too large, cut off.
  kTimeout,      // The whole took longer than kFetchLimit.
  kInvalid,      // What came is no policy.
  kCancelled,    // We are stopping.
};

absl::string_view FetchResultName(FetchResult result);  // ok, no_address, …

struct Fetched {
  FetchResult result = FetchResult::kOk;
  std::string why;  // For people; empty with kOk.
  std::string text;
  Policy policy;

  bool ok() const { return result == FetchResult::kOk; }
};

inline constexpr absl::Duration kFetchLimit = absl::Minutes(1);  // RFC 8461 §3.3.
inline constexpr char kPolicyPath[] = "/.well-known/mta-sts.txt";

std::string PolicyHost(absl::string_view domain);  // "mta-sts.example.net"

// Whether an answer with this head may hold a policy: https::Judge.
absl::Status JudgeHead(int status, absl::string_view type);

// `domain`: an A-label, lower case.
awaitable<Fetched> Fetch(Web web, std::string domain);

}  // namespace hikyaku::mta_sts

#endif  // HIKYAKU_LIB_MTA_STS_FETCH_H_
