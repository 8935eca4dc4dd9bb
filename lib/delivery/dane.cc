#include "lib/delivery/dane.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

metrics::Counter& Result(const std::string& result) {
  return metrics::DeclareCounter(
      "hikyaku_dane_results_total",
      "Hosts under the policies dane and dane_only: ok and mismatch (handshakes: the host fits its TLSA records, or "
      "not), unusable (records, but none of use), not_applicable (no records), insecure_chain (not proved by DNSSEC; "
      "if "
      "nothing else ever comes, the resolver does not validate), tempfail (the look-up fails: the host is passed "
      "over).",
      {{"result", result}});
}

DaneDecision Without(DaneResult result, std::string why) {
  DaneDecision decision;
  decision.result = result;
  decision.why = std::move(why);
  return decision;
}

// As good as an answer: the name cannot exist, or does not.
bool SaysNone(const absl::Status& status) { return absl::IsNotFound(status) || absl::IsInvalidArgument(status); }

std::string TlsaName(const std::string& base, std::uint16_t port) { return absl::StrCat("_", port, "._tcp.", base); }

}  // namespace

void CountDane(DaneResult result) {
  static metrics::Counter* const counters[] = {
      &Result("ok"),       &Result("unusable"), &Result("not_applicable"), &Result("insecure_chain"),
      &Result("tempfail"), &Result("mismatch")};
  counters[static_cast<std::size_t>(result)]->Increment();
}

bool AsksForTlsa(const DaneFacts& facts) { return !facts.literal && facts.name_proved && facts.address_proved; }

DaneDecision DecideDane(const DaneFacts& facts, const std::string& base) {
  if (facts.literal) return Without(DaneResult::kNotApplicable, "an address has no TLSA records");
  if (!facts.name_proved) return Without(DaneResult::kInsecureChain, "DNSSEC does not prove the MX records");
  if (!facts.address_proved) {
    return Without(DaneResult::kInsecureChain, absl::StrCat("DNSSEC does not prove the addresses of ", base));
  }
  const std::string whose = absl::StrCat("TLSA records of ", base);
  if (!facts.tlsa.ok() && !SaysNone(facts.tlsa)) {
    return Without(DaneResult::kTempFail,
                   absl::StrCat("the ", whose, " cannot be looked up: ", std::string(facts.tlsa.message())));
  }
  if (facts.records.empty()) return Without(DaneResult::kNotApplicable, absl::StrCat("there are no ", whose));
  if (!facts.tlsa_proved) {
    return Without(DaneResult::kInsecureChain, absl::StrCat("DNSSEC does not prove the ", whose));
  }
  DaneDecision decision;
  decision.base = base;
  for (const dns::TlsaRecord& record : facts.records) {
    decision.records.push_back({record.usage, record.selector, record.matching, record.data});
  }
  decision.records = tls::UsableTlsa(std::move(decision.records));
  decision.result = decision.records.empty() ? DaneResult::kUnusable : DaneResult::kOk;
  if (decision.records.empty()) decision.why = absl::StrCat("none of the ", whose, " is of use");
  return decision;
}

awaitable<absl::StatusOr<DaneDecision>> LookUpDane(dns::Resolver& resolver, DaneHost host, absl::Duration limit) {
  DaneFacts facts;
  facts.literal = host.literal;
  facts.name_proved = host.name_proved;
  facts.address_proved = host.addresses_proved;
  std::vector<std::string> bases = {host.name};
  if (!host.alias_of.empty() && host.addresses_proved) bases.insert(bases.begin(), host.alias_of);
  if (!host.alias_of.empty() && host.name_proved && !host.addresses_proved) {
    // The alias itself may be proved though its target is not.
    const auto alias = co_await resolver.ResolveAlias(host.name, limit);
    if (absl::IsCancelled(alias.status())) co_return alias.status();
    if (!alias.ok() && !SaysNone(alias.status())) {
      facts.address_proved = true;
      facts.tlsa = alias.status();
      co_return DecideDane(facts, host.name);
    }
    facts.address_proved = alias.ok() && alias->authenticated && !alias->records.empty();
  }
  if (!AsksForTlsa(facts)) co_return DecideDane(facts, host.name);
  DaneDecision decision;
  for (const std::string& base : bases) {
    auto answer = co_await resolver.ResolveTlsa(TlsaName(base, host.port), limit);
    if (absl::IsCancelled(answer.status())) co_return answer.status();
    facts.tlsa = answer.status();
    facts.tlsa_proved = answer.ok() && answer->authenticated;
    facts.records.clear();
    if (answer.ok()) facts.records = std::move(answer->records);
    decision = DecideDane(facts, base);
    const bool none = decision.result == DaneResult::kNotApplicable || decision.result == DaneResult::kInsecureChain;
    if (!none) break;
  }
  co_return decision;
}

}  // namespace hikyaku::delivery
