#include "tests/sim/sim_resolver.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/net/sleep.h"
#include "tests/sim/domains.h"
#include "tests/sim/policy_hosts.h"

namespace hikyaku::sim {
namespace {

template <typename Record>
dns::Answer<Record> AnswerOf(std::vector<Record> records, bool authenticated = false) {
  dns::Answer<Record> answer;
  answer.records = std::move(records);
  answer.expires = absl::InfiniteFuture();
  answer.authenticated = authenticated;
  return answer;
}

// Empty: none.
std::string TlsReportRecord(int domain) {
  std::string record;
  for (const std::string& to : TlsReportReceivers(domain)) {
    absl::StrAppend(&record, record.empty() ? "v=TLSRPTv1; rua=" : ",", "mailto:tls@", to);
  }
  return record;
}

}  // namespace

address::IpAddress HostAddress(int host) {
  return *address::IpAddress::FromBytes(std::string{11, 0, 0, static_cast<char>(host + 1)});
}

address::IpAddress PolicyAddress(int domain) {
  return *address::IpAddress::FromBytes(std::string{11, 0, 1, static_cast<char>(domain + 1)});
}

// What the servers of a domain say now, after a moment, or after `limit`.
awaitable<absl::Status> SimResolver::Way(int domain, absl::Duration limit) {
  CO_RETURN_IF_ERROR(co_await net::Sleep(world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(20))));
  // As it is now: while a silence lasts, the domain may come to another state.
  const absl::StatusCode code = domain < 0 ? absl::StatusCode::kNotFound : zones_.code(domain);
  if (code == absl::StatusCode::kDeadlineExceeded) CO_RETURN_IF_ERROR(co_await net::Sleep(limit));
  if (code == absl::StatusCode::kOk) co_return absl::OkStatus();
  co_return absl::Status(code, code == absl::StatusCode::kNotFound ? "NXDOMAIN" : "DNS fails");
}

awaitable<absl::StatusOr<dns::MxAnswers>> SimResolver::ResolveMx(std::string domain, absl::Duration limit) {
  const int number = DomainNumber(domain);
  const absl::Status way = co_await Way(number, limit);
  if (absl::IsNotFound(way)) books_.NoteDead(domain);
  if (!way.ok()) co_return way;
  const bool proved = zones_.DomainIsProved(number);
  books_.dns().NoteMx(worker_, number, proved);
  co_return AnswerOf<dns::MxRecord>({{10, HostName(number)}, {20, HostName(number + 1)}}, proved);
}

awaitable<absl::StatusOr<dns::AddressAnswers>> SimResolver::ResolveAddresses(std::string name, absl::Duration) {
  CO_RETURN_IF_ERROR(co_await net::Sleep(world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(20))));
  if (const int domain = PolicyHosts::DomainOfHost(name); domain >= 0) {
    co_return AnswerOf<address::IpAddress>({PolicyAddress(domain)});
  }
  const int host = HostNumber(name);
  if (host < 0) co_return absl::NotFoundError("NXDOMAIN");
  const bool proved = zones_.HostIsProved(host);
  books_.dns().NoteAddress(worker_, host, proved);
  co_return AnswerOf<address::IpAddress>({HostAddress(host)}, proved);
}

// The records of a domain for MTA-STS and for reports on TLS: its DNS fails as a whole.
awaitable<absl::StatusOr<dns::TextAnswers>> SimResolver::ResolveTxt(std::string name, absl::Duration limit) {
  absl::string_view domain = name;
  const bool of_reports = absl::ConsumePrefix(&domain, "_smtp._tls.");
  if (!of_reports && !absl::ConsumePrefix(&domain, "_mta-sts.")) co_return absl::NotFoundError("NXDOMAIN");
  const int number = DomainNumber(domain);
  const absl::Status way = co_await Way(number, limit);
  if (!way.ok()) co_return way;
  const std::string record = of_reports ? TlsReportRecord(number) : PolicyHosts::Record(number);
  if (record.empty()) co_return absl::NotFoundError("NXDOMAIN");
  co_return AnswerOf<std::string>({record});
}

awaitable<absl::StatusOr<dns::TlsaAnswers>> SimResolver::ResolveTlsa(std::string name, absl::Duration limit) {
  absl::string_view host_name = name;
  CO_RETURN_IF_ERROR(co_await net::Sleep(world_.random.Between(absl::Milliseconds(1), absl::Milliseconds(20))));
  const int host = absl::ConsumePrefix(&host_name, "_25._tcp.") ? HostNumber(host_name) : -1;
  if (host < 0) {
    books_.Problem(absl::StrCat("TLSA records are asked for where none can be: ", name));
    co_return absl::NotFoundError("NXDOMAIN");
  }
  Tlsa state = zones_.tlsa(host);
  if (!zones_.HostIsProved(host) && !TlsaRecordsOf(host, state).empty()) state = Tlsa::kUnproved;
  if (state == Tlsa::kMute) CO_RETURN_IF_ERROR(co_await net::Sleep(limit));
  books_.dns().NoteTlsa(worker_, host, state);
  const bool fails = state == Tlsa::kFails || state == Tlsa::kMute;
  if (fails && mutant_ == Mutant::kDaneFailsOpen) co_return absl::NotFoundError("planted");
  if (state == Tlsa::kFails) co_return absl::UnavailableError("SERVFAIL");
  if (state == Tlsa::kMute) co_return absl::DeadlineExceededError("no answer");
  if (state == Tlsa::kNone) co_return absl::NotFoundError("NXDOMAIN");
  co_return AnswerOf(TlsaRecordsOf(host, state), state != Tlsa::kUnproved);
}

awaitable<absl::StatusOr<dns::TextAnswers>> SimResolver::ResolveAlias(std::string, absl::Duration) {
  co_return absl::NotFoundError("NXDOMAIN");
}

awaitable<absl::StatusOr<dns::TextAnswers>> SimResolver::ResolvePtr(address::IpAddress, absl::Duration) {
  co_return absl::NotFoundError("NXDOMAIN");
}

}  // namespace hikyaku::sim
