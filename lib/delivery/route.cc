#include "lib/delivery/route.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"

namespace hikyaku::delivery {
namespace {

using Kind = NextHop::Kind;

// IANA's port of LMTP has never been assigned; 24 is what Postfix, Dovecot and Cyrus take.
constexpr std::uint16_t kLmtpPort = 24;

constexpr absl::string_view kNullSender = "<>";

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

absl::StatusOr<std::string> ParseSenderKey(absl::string_view domain) {
  if (domain.empty() || domain == "*") return std::string();
  return domain == kNullSender ? std::string(kNullSender) : ParseKey(domain);
}

absl::Status InRow(std::size_t row, absl::string_view field, absl::string_view value, const absl::Status& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("delivery.routes[", row, "].", field, " \"", value, "\": ", why.message()));
}

// What rows say that give no domain: "*", if they ask for something else.
absl::string_view DomainOf(const RouteRow& row) {
  const bool conditional = !row.sender_domain.empty() || !row.tenant.empty() || !row.stream.empty();
  return row.domain.empty() && conditional ? "*" : absl::string_view(row.domain);
}

std::string Describe(const RouteRow& row, std::size_t index) {
  std::string text = absl::StrCat("delivery.routes[", index, "] (", DomainOf(row));
  if (!row.stream.empty()) absl::StrAppend(&text, ", stream ", row.stream);
  if (!row.tenant.empty()) absl::StrAppend(&text, ", tenant ", row.tenant);
  if (!row.sender_domain.empty()) absl::StrAppend(&text, ", sender ", row.sender_domain);
  return absl::StrCat(text, ")");
}

// The domain of an envelope sender as rows have it; "<>" for the null sender.
std::string SenderDomain(absl::string_view sender) {
  if (sender.empty()) return std::string(kNullSender);
  const std::size_t at = sender.rfind('@');
  const absl::string_view domain = at == absl::string_view::npos ? sender : sender.substr(at + 1);
  const auto label = address::ToALabel(domain);
  return label.ok() ? *label : absl::AsciiStrToLower(domain);
}

// "a.b.test" is in ".b.test" and ".test".
bool Matches(absl::string_view pattern, absl::string_view domain) {
  return absl::StartsWith(pattern, ".") ? absl::EndsWith(domain, pattern) : pattern == domain;
}

// What no host could satisfy would let the mail wait until it expires.
absl::Status CheckTls(const RouteRow& row, std::size_t index, const NextHop& hop, std::optional<TlsLevel> tls,
                      bool implicit) {
  if (implicit && row.tls && *row.tls < TlsLevel::kRequire) {
    return InRow(index, "tls.policy", TlsLevelName(*row.tls),
                 absl::InvalidArgumentError("implicit TLS needs require or verify"));
  }
  const bool proof = tls == TlsLevel::kVerify || tls == TlsLevel::kDaneOnly;
  if (!proof || !absl::StartsWith(hop.host, "unix:")) return absl::OkStatus();
  constexpr absl::string_view kNoName = "a socket has no name to prove: ";
  if (row.tls) {
    return InRow(index, "tls.policy", TlsLevelName(*tls),
                 absl::InvalidArgumentError(absl::StrCat(kNoName, "none, opportunistic or require")));
  }
  return InRow(index, "auth.user", row.login->user,
               absl::InvalidArgumentError(absl::StrCat(kNoName, "auth needs allow_clear: true there")));
}

}  // namespace

// Exact sender domains before suffixes, long suffixes before short ones.
bool RouteTable::Before(const Row& a, const Row& b) {
  const auto rank = [](const Row& row) {
    const bool suffix = absl::StartsWith(row.sender_domain, ".");
    return std::make_tuple(row.stream.empty(), row.tenant.empty(), row.sender_domain.empty(), suffix,
                           suffix ? -static_cast<std::ptrdiff_t>(row.sender_domain.size()) : 0);
  };
  return rank(a) < rank(b);
}

absl::StatusOr<RouteTable::Row> RouteTable::MakeRow(const RouteRow& row, std::size_t index,
                                                    std::uint16_t default_port) {
  Row made;
  const auto sender = ParseSenderKey(row.sender_domain);
  if (!sender.ok()) return InRow(index, "sender_domain", row.sender_domain, sender.status());
  made.sender_domain = *sender;
  made.tenant = row.tenant;
  made.stream = row.stream;
  // A row may say only how mail goes, not where.
  auto target = address::ParseRouteTarget(row.to.empty() && (!row.sources.empty() || row.tls) ? "smtp:" : row.to);
  if (!target.ok()) return InRow(index, "to", row.to, target.status());
  NextHop& hop = made.hop;
  hop.kind = target->kind;
  hop.host = target->path.empty() || hop.kind != Kind::kLmtp ? target->host : absl::StrCat("unix:", target->path);
  hop.literal = target->literal;
  hop.port = target->port != 0 ? target->port : hop.kind == Kind::kLmtp ? kLmtpPort : default_port;
  if (absl::StartsWith(hop.host, "unix:")) {
    hop.literal = address::IpAddress::Parse("0.0.0.0").value();
    hop.port = 0;
  }
  hop.mx_lookup = target->mx_lookup;
  hop.routed = !hop.host.empty();
  const bool implicit = row.tls_implicit.value_or(hop.port == kSubmissionsPort);
  // A password goes only to who has proven his name, unless the operator says otherwise.
  std::optional<TlsLevel> tls = row.tls;
  if (row.login && !row.login->allow_clear && !tls) tls = TlsLevel::kVerify;
  RETURN_IF_ERROR(CheckTls(row, index, hop, tls, implicit));
  RouteRule rule{index, Describe(row, index), *std::move(target), row.sources, tls, implicit};
  if (row.login) rule.login = std::make_shared<Login>(*row.login, rule.text);
  hop.rule = std::make_shared<const RouteRule>(std::move(rule));
  return made;
}

absl::StatusOr<RouteTable> RouteTable::Create(const std::vector<RouteRow>& rows, std::uint16_t default_port) {
  RouteTable table(default_port);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto key = ParseKey(DomainOf(rows[i]));
    if (!key.ok()) return InRow(i, "domain", rows[i].domain, key.status());
    ASSIGN_OR_RETURN(Row row, MakeRow(rows[i], i, default_port));
    Rows& same = table.rows_[*key];
    const bool twice = std::any_of(same.begin(), same.end(), [&](const Row& other) {
      return std::tie(other.sender_domain, other.tenant, other.stream) ==
             std::tie(row.sender_domain, row.tenant, row.stream);
    });
    if (twice) {
      return InRow(i, "domain", DomainOf(rows[i]),
                   absl::AlreadyExistsError("an earlier row has the same domain and asks for the same"));
    }
    table.by_sender_ |= !row.sender_domain.empty();
    same.insert(std::upper_bound(same.begin(), same.end(), row, Before), std::move(row));
  }
  return table;
}

bool RouteTable::Fits(const Row& row, const RouteQuery& query, absl::string_view sender_domain) {
  return (row.stream.empty() || row.stream == query.stream) && (row.tenant.empty() || row.tenant == query.tenant) &&
         (row.sender_domain.empty() || Matches(row.sender_domain, sender_domain));
}

// The rows of each key that `domain` has, the most special first, until `visit` says true.
template <typename Visit>
void RouteTable::ForEachKey(absl::string_view domain, Visit visit) const {
  if (rows_.empty()) return;
  const auto stop = [&](absl::string_view key) {
    const auto found = rows_.find(key);
    return found != rows_.end() && visit(found->second);
  };
  if (stop(domain)) return;
  if (!absl::StartsWith(domain, "[")) {
    for (std::size_t dot = domain.find('.'); dot != absl::string_view::npos; dot = domain.find('.', dot + 1)) {
      if (stop(domain.substr(dot))) return;
    }
  }
  stop("*");
}

NextHop RouteTable::ByMx(absl::string_view domain) const {
  NextHop hop;
  hop.host = std::string(domain);
  hop.port = default_port_;
  if (const auto literal = address::ParseAddressLiteral(domain); literal.ok()) {
    hop.literal = *literal;
    hop.mx_lookup = false;
  }
  return hop;
}

NextHop RouteTable::Route(const RouteQuery& query) const {
  const std::string sender_domain = by_sender_ ? SenderDomain(query.sender) : std::string();
  const NextHop* found = nullptr;
  ForEachKey(query.domain, [&](const Rows& rows) {
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return Fits(r, query, sender_domain); });
    if (row != rows.end()) found = &row->hop;
    return found != nullptr;
  });
  if (found == nullptr) return ByMx(query.domain);
  if (!found->host.empty() || !found->remote()) return *found;
  NextHop hop = ByMx(query.domain);
  hop.rule = found->rule;
  return hop;
}

std::optional<std::string> RouteTable::CertainRefusal(absl::string_view domain) const {
  std::optional<std::string> refusal;
  ForEachKey(domain, [&](const Rows& rows) {
    for (const Row& row : rows) {
      const bool refuses = row.hop.kind == Kind::kReject;
      if (!refuses) return true;  // Some pass.
      const address::RouteTarget& target = row.hop.rule->target;
      if (!row.conditional()) {
        refusal = absl::StrCat(target.enhanced, " ", target.text);
        return true;
      }
    }
    return false;
  });
  return refusal;
}

}  // namespace hikyaku::delivery
