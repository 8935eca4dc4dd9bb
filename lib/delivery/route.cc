#include "lib/delivery/route.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"

namespace hikyaku::delivery {
namespace {

absl::StatusOr<std::uint16_t> ParsePort(absl::string_view text) {
  std::uint32_t port = 0;
  if (!absl::SimpleAtoi(text, &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a port (1 to 65535)"));
  }
  return static_cast<std::uint16_t>(port);
}

// "[…]" without a port: an address in either spelling, or a host.
absl::StatusOr<NextHop> ParseBracketed(absl::string_view inside) {
  NextHop hop;
  hop.mx_lookup = false;
  auto literal = address::ParseAddressLiteral(absl::StrCat("[", inside, "]"));
  if (!literal.ok()) literal = address::IpAddress::Parse(inside);
  if (literal.ok()) {
    hop.literal = *literal;
    hop.host = literal->ToLiteral();
    return hop;
  }
  ASSIGN_OR_RETURN(hop.host, address::ToALabel(inside));
  return hop;
}

absl::StatusOr<NextHop> ParseTo(absl::string_view to, std::uint16_t default_port) {
  NextHop hop;
  absl::string_view port;
  if (absl::StartsWith(to, "[")) {
    const std::size_t end = to.find(']');
    if (end == absl::string_view::npos) return absl::InvalidArgumentError("the \"]\" is missing");
    ASSIGN_OR_RETURN(hop, ParseBracketed(to.substr(1, end - 1)));
    port = to.substr(end + 1);
    if (!port.empty() && port[0] != ':') return absl::InvalidArgumentError("only \":port\" may follow the \"]\"");
  } else {
    const std::size_t colon = to.find(':');
    const absl::string_view host = to.substr(0, colon);
    if (address::IpAddress::Parse(host).ok() || address::IpAddress::Parse(to).ok()) {
      return absl::InvalidArgumentError("an address needs brackets: \"[192.0.2.1]:25\", \"[2001:db8::1]:25\"");
    }
    ASSIGN_OR_RETURN(hop.host, address::ToALabel(host));
    if (colon != absl::string_view::npos) port = to.substr(colon);
  }
  hop.routed = true;
  hop.port = default_port;
  if (!port.empty()) {
    ASSIGN_OR_RETURN(hop.port, ParsePort(port.substr(1)));
  }
  return hop;
}

absl::StatusOr<std::string> ParseKey(absl::string_view domain) {
  if (domain == "*") return std::string("*");
  if (absl::StartsWith(domain, "[")) {
    ASSIGN_OR_RETURN(const address::IpAddress literal, address::ParseAddressLiteral(domain));
    return literal.ToLiteral();
  }
  const bool suffix = absl::StartsWith(domain, ".");
  ASSIGN_OR_RETURN(const std::string label, address::ToALabel(suffix ? domain.substr(1) : domain));
  return absl::StrCat(suffix ? "." : "", label);
}

absl::Status InRow(std::size_t row, absl::string_view field, absl::string_view value, const absl::Status& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("delivery.routes[", row, "].", field, " \"", value, "\": ", why.message()));
}

}  // namespace

absl::StatusOr<RouteTable> RouteTable::Create(const std::vector<RouteRow>& rows, std::uint16_t default_port) {
  RouteTable table(default_port);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto key = ParseKey(rows[i].domain);
    if (!key.ok()) return InRow(i, "domain", rows[i].domain, key.status());
    auto hop = ParseTo(rows[i].to, default_port);
    if (!hop.ok()) return InRow(i, "to", rows[i].to, hop.status());
    if (!table.rows_.try_emplace(*key, *std::move(hop)).second) {
      return InRow(i, "domain", rows[i].domain, absl::AlreadyExistsError("an earlier row has the same domain"));
    }
  }
  return table;
}

const NextHop* RouteTable::Find(absl::string_view domain) const {
  if (rows_.empty()) return nullptr;
  if (const auto exact = rows_.find(domain); exact != rows_.end()) return &exact->second;
  if (!absl::StartsWith(domain, "[")) {
    for (std::size_t dot = domain.find('.'); dot != absl::string_view::npos; dot = domain.find('.', dot + 1)) {
      if (const auto suffix = rows_.find(domain.substr(dot)); suffix != rows_.end()) return &suffix->second;
    }
  }
  const auto any = rows_.find("*");
  return any == rows_.end() ? nullptr : &any->second;
}

NextHop RouteTable::Route(absl::string_view domain) const {
  if (const NextHop* row = Find(domain)) return *row;
  NextHop hop;
  hop.host = std::string(domain);
  hop.port = default_port_;
  if (const auto literal = address::ParseAddressLiteral(domain); literal.ok()) {
    hop.literal = *literal;
    hop.mx_lookup = false;
  }
  return hop;
}

}  // namespace hikyaku::delivery
