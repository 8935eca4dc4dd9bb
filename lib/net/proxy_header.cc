#include "lib/net/proxy_header.h"

#include "absl/strings/string_view.h"
#include "lib/base/check.h"

namespace hikyaku::net {
namespace {

constexpr absl::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr char kVersion2Proxy = 0x21;
constexpr char kTcp4 = 0x11;
constexpr char kTcp6 = 0x21;

void AppendTwo(std::size_t value, std::string* out) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value & 0xff));
}

}  // namespace

std::string ProxyHeader(const Endpoint& source, const Endpoint& to) {
  HIKYAKU_CHECK(source.address.is_v4() == to.address.is_v4());
  std::string header(kSignature);
  header.push_back(kVersion2Proxy);
  header.push_back(to.address.is_v4() ? kTcp4 : kTcp6);
  const absl::string_view from = source.address.bytes();
  const absl::string_view into = to.address.bytes();
  AppendTwo(from.size() + into.size() + 4, &header);
  header.append(from.data(), from.size());
  header.append(into.data(), into.size());
  AppendTwo(source.port, &header);
  AppendTwo(to.port, &header);
  return header;
}

}  // namespace hikyaku::net
