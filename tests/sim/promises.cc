#include "tests/sim/promises.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/dkim/verifier.h"
#include "tests/sim/secrets.h"

namespace hikyaku::sim {
namespace {

using delivery::TlsLevel;

// The shard's clock, the worker's and this one are read at different steps of one attempt.
constexpr absl::Duration kSlack = absl::Seconds(2);

std::string DomainOfAddress(absl::string_view address) { return std::string(address.substr(address.find('@') + 1)); }

bool FromSignedDomain(absl::string_view message) {
  const absl::string_view header = message.substr(0, message.find("\r\n\r\n") + 2);
  std::size_t at = absl::StartsWith(header, "From:") ? 0 : header.find("\r\nFrom:");
  if (at == absl::string_view::npos) return false;
  at = header.find(':', at);
  return absl::StrContains(header.substr(at, header.find("\r\n", at) - at), absl::StrCat("@", kSignedDomain));
}

}  // namespace

// Domain n is served by the hosts n and n + 1 of eight: so host n serves n and n - 1, and those from 8 on once more.
TlsLevel PolicyOf(absl::string_view domain) {
  static constexpr std::array<TlsLevel, 10> kPolicies = {
      TlsLevel::kNone, TlsLevel::kVerify,  TlsLevel::kRequire,       TlsLevel::kOpportunistic, TlsLevel::kVerify,
      TlsLevel::kNone, TlsLevel::kRequire, TlsLevel::kOpportunistic, TlsLevel::kRequire,       TlsLevel::kOpportunistic,
  };
  return kPolicies[static_cast<std::size_t>(domain[1] - '0')];
}

Sts StsOf(absl::string_view domain) {
  if (domain == "d2.test") return {Sts::kEnforce, {2, 3}};
  if (domain == "d5.test") return {Sts::kEnforce, {5, 6}};  // Whose operator asks for no TLS at all.
  if (domain == "d7.test") return {Sts::kTesting, {7}};
  if (domain == "d9.test") return {Sts::kEnforce, {1}};
  return {};
}

absl::string_view WithoutSignatures(absl::string_view message) {
  while (absl::StartsWith(message, "DKIM-Signature:")) {
    std::size_t end = message.find("\r\n");
    while (end != absl::string_view::npos && end + 2 < message.size() &&
           (message[end + 2] == ' ' || message[end + 2] == '\t')) {
      end = message.find("\r\n", end + 2);
    }
    if (end == absl::string_view::npos) return "";
    message.remove_prefix(end + 2);
  }
  return message;
}

void Promises::NoteLease(int worker, const std::string& mail, const std::string& domain) {
  first_leases_.try_emplace({mail, domain}, world_.now());
  last_leases_[{worker, absl::StrCat(mail, " ", domain)}] = world_.now();
}

void Promises::NotePolicyTold(int worker, const std::string& domain) {
  if (PolicyOf(domain) == TlsLevel::kNone) problem_(absl::StrCat("a policy that nobody may ask for: ", domain));
  told_.try_emplace({worker, domain}, world_.now());
}

void Promises::NoteWorkerStart(int worker) {
  for (auto it = told_.begin(); it != told_.end();) it = it->first.first == worker ? told_.erase(it) : std::next(it);
}

void Promises::NoteBrokenTls(int worker, int host) { first_broken_.try_emplace({worker, host}, world_.now()); }

void Promises::JudgeTaken(const Channel& channel, const std::string& mail, absl::string_view message,
                          const std::vector<std::string>& recipients) {
  JudgeSignatures(mail, message);
  const std::string domain = DomainOfAddress(recipients[0]);
  const bool mixed = std::any_of(recipients.begin(), recipients.end(),
                                 [&](const std::string& recipient) { return DomainOfAddress(recipient) != domain; });
  if (mixed) problem_(absl::StrCat("one transaction for domains with policies of their own: ", mail));
  JudgeChannel(channel, mail, domain);
}

void Promises::JudgeChannel(const Channel& channel, const std::string& mail, const std::string& domain) {
  ++(channel.tls ? counts_.encrypted : counts_.clear);
  const bool by_sts = MustKeepToSts(channel, mail, domain);
  const TlsLevel policy = by_sts ? TlsLevel::kVerify : PolicyOf(domain);
  const std::string what = absl::StrCat(mail, " to ", domain, " at host ", channel.host);
  if (by_sts) {
    ++counts_.sts;
    const std::vector<int> listed = StsOf(domain).hosts;
    const bool lists = std::find(listed.begin(), listed.end(), channel.host) != listed.end();
    if (!lists) problem_(absl::StrCat("sent to a host that the policy does not list: ", what));
  }
  if (policy == TlsLevel::kNone && channel.tls) problem_(absl::StrCat("TLS where none is asked for: ", what));
  if (policy >= TlsLevel::kRequire && !channel.tls) problem_(absl::StrCat("clear text where TLS is required: ", what));
  if (policy == TlsLevel::kVerify) {
    ++counts_.proved;
    if (channel.tls && !channel.proved) problem_(absl::StrCat("sent to a host that did not prove itself: ", what));
  }
  if (policy == TlsLevel::kOpportunistic && !channel.tls && channel.offered) JudgeClearText(channel, mail, domain);
}

// The attempt began when the worker knew the policy.
bool Promises::MustKeepToSts(const Channel& channel, const std::string& mail, const std::string& domain) const {
  if (StsOf(domain).mode != Sts::kEnforce) return false;
  const auto told = told_.find({channel.worker, domain});
  const auto leased = last_leases_.find({channel.worker, absl::StrCat(mail, " ", domain)});
  return told != told_.end() && leased != last_leases_.end() && leased->second > told->second;
}

// The host offered TLS to mail that would have taken it.
void Promises::JudgeClearText(const Channel& channel, const std::string& mail, const std::string& domain) {
  ++counts_.fell_back;
  const std::string what = absl::StrCat(mail, " to ", domain, " at host ", channel.host);
  const auto broken = first_broken_.find({channel.worker, channel.host});
  if (broken == first_broken_.end()) return problem_(absl::StrCat("clear text where TLS has never failed: ", what));
  const auto leased = first_leases_.find({mail, domain});
  const absl::Duration since =
      leased == first_leases_.end() ? broken->second : std::min(leased->second, broken->second);
  if (world_.now() - since < kClearTextAfter - kSlack) {
    hasty_.push_back(absl::StrCat("clear text before its time: ", what));
  }
}

void Promises::JudgeSignatures(const std::string& mail, absl::string_view message) {
  // Later than any clock that signs: a signature from the future is not what is looked for here.
  const auto verdicts = dkim::Verify(message, absl::ToUnixSeconds(world_.wall() + absl::Hours(1)), LookUpKey);
  if (!verdicts.ok()) return problem_(absl::StrCat("signatures that cannot be read: ", mail));
  if (FromSignedDomain(message)) {
    ++counts_.is_signed;
    if (verdicts->empty()) problem_(absl::StrCat("not signed: ", mail));
  } else if (!verdicts->empty()) {
    problem_(absl::StrCat("signed by who must not: ", mail));
  }
  for (const dkim::Verdict& verdict : *verdicts) {
    if (verdict.result == dkim::Result::kPass && verdict.domain == kSignedDomain) continue;
    problem_(absl::StrCat("a signature that does not hold: ", mail, ": ", verdict.ToString()));
  }
}

void Promises::JudgeEvent(const v1::Event& event) {
  if (event.type() != v1::Event::TYPE_DELIVERED) return;
  const TlsLevel policy = PolicyOf(event.domain());
  const v1::Tls& tls = event.outcome().tls();
  const bool encrypted = event.outcome().has_tls();
  const std::string what = absl::StrCat(event.message_id(), " ", event.domain(), ": ", tls.policy());
  const bool wrong = (policy == TlsLevel::kNone && encrypted) || (policy >= TlsLevel::kRequire && !encrypted) ||
                     (policy == TlsLevel::kVerify && !tls.verified());
  if (wrong) problem_(absl::StrCat("told of another TLS than is asked for: ", what));
  if (!encrypted) return;
  const bool by_sts = tls.policy() == absl::StrCat("verify by MTA-STS of ", event.domain());
  if (by_sts && (StsOf(event.domain()).mode != Sts::kEnforce || !tls.verified())) {
    problem_(absl::StrCat("a policy that is not the domain's: ", what));
  }
  const bool by_level = absl::StartsWith(tls.policy(), absl::StrCat(TlsLevelName(policy), " by delivery."));
  const bool by_own_row =
      policy == TlsLevel::kOpportunistic || absl::EndsWith(tls.policy(), absl::StrCat("(", event.domain(), ")"));
  if (!by_sts && !(by_level && by_own_row)) problem_(absl::StrCat("by the policy of another: ", what));
}

void Promises::Check(bool wrong_clocks) {
  if (wrong_clocks) return;
  for (const std::string& hasty : hasty_) problem_(hasty);
}

}  // namespace hikyaku::sim
