#include "lib/delivery/explain.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/login.h"
#include "lib/delivery/plan.h"
#include "lib/delivery/source.h"
#include "lib/delivery/verdict.h"
#include "lib/dkim/signature.h"
#include "lib/mta_sts/policies.h"
#include "lib/net/task_group.h"

namespace hikyaku::delivery {
namespace {

using Kind = NextHop::Kind;
using Lines = std::vector<Explained>;

std::string Where(const NextHop& hop) {
  const address::RouteTarget* target = hop.rule ? &hop.rule->target : nullptr;
  switch (hop.kind) {
    case Kind::kDiscard: return absl::StrCat("thrown away and counted as delivered: ", target->text);
    case Kind::kMaildir: return absl::StrCat("a file in the Maildir ", target->path);
    case Kind::kReject: return absl::StrCat("refused: 550 ", target->enhanced, " ", target->text);
    case Kind::kSmtp:
    case Kind::kLmtp: break;
  }
  const std::string protocol = hop.kind == Kind::kLmtp ? "LMTP" : "SMTP";
  if (hop.host.rfind("unix:", 0) == 0) return absl::StrCat(protocol, " at the socket ", hop.host.substr(5));
  return absl::StrCat(protocol, hop.mx_lookup ? " to the MX hosts of " : " to ", hop.host, ", port ", hop.port);
}

void ExplainRoute(const NextHop& hop, Lines* lines) {
  lines->push_back({"route", Where(hop), hop.rule ? hop.rule->text : "no row of delivery.routes fits"});
}

void ExplainSource(const NextHop& hop, const AttemptOptions& options, const Network& network, absl::Time now,
                   Lines* lines) {
  const std::string& name = hop.rule ? hop.rule->sources : std::string();
  const SourcePool* pool = network.sources->Find(name);
  const std::string why = name.empty() ? "delivery.source_pools, delivery.sources" : hop.rule->text;
  if (pool == nullptr) {
    lines->push_back({"source", absl::StrCat("no pool \"", name, "\": the mail waits"), why});
    return;
  }
  for (const Source& source : pool->sources) {
    std::string text = source.address ? source.address->ToString() : "the address that the kernel chooses";
    absl::StrAppend(&text, ", EHLO ", source.helo.empty() ? options.helo : source.helo);
    if (pool->sources.size() > 1) absl::StrAppend(&text, ", weight ", source.weight);
    if (source.proxy) absl::StrAppend(&text, ", by the proxy ", source.proxy->at.text());
    const auto limit = source.warm_up ? source.warm_up->LimitAt(now) : std::nullopt;
    if (limit) absl::StrAppend(&text, ", warm-up: ", *limit, " messages today from each worker");
    lines->push_back({"source", std::move(text), absl::StrCat("pool \"", pool->name, "\" of ", why)});
  }
}

void ExplainLogin(const NextHop& hop, absl::Time now, Lines* lines) {
  const Login* login = hop.rule ? hop.rule->login.get() : nullptr;
  if (login == nullptr) return;
  const LoginOptions& options = login->options();
  std::string text = absl::StrCat("as ", options.user, ", password from ", options.password_file);
  if (const auto ready = hop.rule->login->Get(now); !ready.ok()) {
    absl::StrAppend(&text, " (", ready.status().message(), ": the mail waits)");
  }
  absl::StrAppend(&text, options.allow_clear ? ", on any connection" : ", only after TLS has proven the host");
  lines->push_back({"login", std::move(text), absl::StrCat("auth of ", hop.rule->text)});
}

// What Signing decides when it has read From.
void ExplainSignatures(const DkimKeyring* keyring, const std::string& author, Lines* lines) {
  const std::shared_ptr<const DkimKeys> keys = keyring != nullptr ? keyring->Get() : nullptr;
  const DkimKeyList* list = keys != nullptr ? keys->Find(author) : nullptr;
  const std::string who = author.empty() ? "From" : absl::StrCat("From in ", author);
  if (list == nullptr) {
    lines->push_back({"dkim", "no signature", absl::StrCat("no row of dkim.domains is for ", who)});
    return;
  }
  for (const auto& key : *list) {
    std::string text = absl::StrCat("signed by ", key->domain, ", selector ", key->selector, ", ");
    if (key->signatory.ok()) {
      absl::StrAppend(&text, dkim::AlgorithmName(key->signatory->key.type()), ", key ", key->path);
    } else {
      absl::StrAppend(&text, "if ", key->path, " had a key: it ", key->signatory.status().message(),
                      ": the mail waits");
    }
    lines->push_back({"dkim", std::move(text), absl::StrCat("dkim.domains, ", who)});
  }
}

// The TLS that is asked of the hosts; once where it is the same for all of them.
struct TlsLines {
  std::vector<std::string> hosts;
  Lines lines;
  bool alike = true;

  void Add(const std::string& host, const HostPolicy& policy) {
    Explained line{"tls", absl::StrCat(policy.level, policy.demand.implicit ? ", from the first octet" : ""),
                   policy.rule};
    if (policy.trouble) line.text = absl::StrCat("the host is passed over: ", policy.trouble->ToString());
    if (!lines.empty()) alike &= lines[0].text == line.text && lines[0].why == line.why;
    hosts.push_back(host);
    lines.push_back(std::move(line));
  }

  void AppendTo(Lines* all) {
    if (lines.empty()) return;
    if (alike) lines.resize(1);
    for (std::size_t i = 0; !alike && i < lines.size(); ++i)
      lines[i].text = absl::StrCat(hosts[i], ": ", lines[i].text);
    for (Explained& line : lines) all->push_back(std::move(line));
  }
};

void ExplainSts(const mta_sts::Found& found, absl::string_view domain, Lines* lines) {
  if (found.kept == nullptr && found.trouble == mta_sts::FetchResult::kOk) {
    lines->push_back({"mta-sts", "none", absl::StrCat("TXT of _mta-sts.", domain)});
    return;
  }
  const std::string source = absl::StrCat("https://", mta_sts::PolicyHost(domain), mta_sts::kPolicyPath);
  if (found.kept == nullptr) {
    lines->push_back({"mta-sts", absl::StrCat("announced, but not to be had, so none: ", found.why), source});
    return;
  }
  const mta_sts::KeptPolicy& kept = *found.kept;
  lines->push_back({"mta-sts",
                    absl::StrCat(mta_sts::ModeName(kept.policy.mode), ", mx ", absl::StrJoin(kept.policy.mx, ", "),
                                 ", until ", absl::FormatTime(absl::RFC3339_sec, kept.expires, absl::UTCTimeZone())),
                    absl::StrCat("id ", kept.id, ", ", source)});
}

awaitable<void> ExplainHosts(Plan& plan, HostTls& tls, TlsLines* tls_lines, Lines* lines) {
  int hosts = 0;
  const absl::Status prepared = co_await tls.Prepare();
  if (!prepared.ok()) co_return;
  for (;;) {
    auto host = co_await plan.Next();
    if (!host.ok() || !host->has_value()) break;
    const auto policy = co_await tls.For(**host);
    if (!policy.ok()) break;
    tls_lines->Add((*host)->name, *policy);
    std::vector<std::string> addresses;
    for (const net::Endpoint& endpoint : (*host)->endpoints) addresses.push_back(endpoint.text());
    const bool socket = (*host)->name.rfind("unix:", 0) == 0;
    ++hosts;
    lines->push_back({"host", socket ? (*host)->name : absl::StrCat((*host)->name, " ", absl::StrJoin(addresses, ", ")),
                      absl::StrCat("number ", hosts, " to be tried")});
  }
  if (const auto& trouble = plan.trouble()) {
    lines->push_back({hosts == 0 ? "verdict" : "besides", trouble->ToString(),
                      trouble->kind == outcome::Kind::kPermanent ? "the mail bounces" : "the mail waits"});
  }
}

}  // namespace

awaitable<std::vector<Explained>> Explain(RouteQuery query, std::string author, const AttemptOptions& options,
                                          const Network& network, dns::Resolver& resolver, Clock& clock) {
  Lines lines;
  const NextHop hop = network.routes.Route(query);
  ExplainRoute(hop, &lines);
  if (!hop.remote()) co_return lines;
  Budget budget;
  Plan plan({resolver, network.guard, options.own, clock, budget}, std::string(query.domain), hop);
  net::TaskGroup fetches;
  mta_sts::Policies policies(clock, fetches);
  const StsDoor sts{&policies, nullptr, network.dialer};
  HostTls tls({network.tls, resolver, clock, budget, sts}, std::string(query.domain), hop);
  TlsLines tls_lines;
  co_await ExplainHosts(plan, tls, &tls_lines, &lines);
  fetches.Close();
  co_await fetches.Join();
  if (tls.sts()) ExplainSts(*tls.sts(), query.domain, &lines);
  tls_lines.AppendTo(&lines);
  ExplainLogin(hop, clock.Now(), &lines);
  ExplainSignatures(options.keyring, author, &lines);
  ExplainSource(hop, options, network, clock.Now(), &lines);
  lines.push_back({"limits", absl::StrCat(options.recipients_per_transaction, " recipients a transaction"),
                   "delivery.recipients_per_transaction"});
  co_return lines;
}

}  // namespace hikyaku::delivery
