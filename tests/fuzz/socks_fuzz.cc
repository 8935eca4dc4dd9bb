// What a SOCKS proxy says: the client takes no octet that belongs to the far end, in whatever pieces they come, and
// ends.
#include <algorithm>
#include <cstdint>
#include <string>

#include "lib/base/check.h"
#include "lib/net/endpoint.h"
#include "lib/net/proxy_header.h"
#include "lib/net/socks5.h"
#include "tests/fuzz/input.h"

namespace {

using hikyaku::net::Endpoint;
using hikyaku::net::Socks5;

// How many octets the dialogue took, and its end: "done", "more", or the error.
struct Talked {
  std::size_t taken = 0;
  std::string end;
  std::string said;

  bool operator==(const Talked&) const = default;
};

Talked Talk(const Endpoint& to, const std::string& user, absl::string_view bytes, std::size_t piece) {
  Socks5 socks(to, user, user.empty() ? "" : "pw");
  Talked talked;
  talked.said = socks.Start().output;
  while (talked.taken < bytes.size()) {
    HIKYAKU_CHECK(socks.wanted() > 0 && socks.wanted() <= 300);
    const std::size_t size = std::min({piece, socks.wanted(), bytes.size() - talked.taken});
    auto step = socks.Feed(bytes.substr(talked.taken, size));
    talked.taken += size;
    if (!step.ok()) {
      talked.end = step.status().ToString();
      return talked;
    }
    talked.said += step->output;
    if (step->done) {
      talked.end = "done";
      return talked;
    }
  }
  talked.end = "more";
  return talked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const bool v4 = input.Flag();
  const std::string user = input.Text();
  const std::size_t piece = 1 + input.Byte();
  const Endpoint to = *hikyaku::net::ParseEndpoint(v4 ? "192.0.2.1:25" : "[2001:db8::1]:25");
  const Talked whole = Talk(to, user, input.rest(), input.rest().size() + 1);
  HIKYAKU_CHECK(Talk(to, user, input.rest(), piece) == whole);
  HIKYAKU_CHECK(hikyaku::net::ProxyHeader(to, to).size() == (v4 ? 28u : 52u));
  return 0;
}
