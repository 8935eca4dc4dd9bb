#include "tests/sim/promises.h"

#include <algorithm>
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

void Promises::NoteLease(int worker, int shard, const std::string& mail, const std::string& domain) {
  first_leases_.try_emplace({mail, domain}, world_.now());
  last_leases_[{worker, absl::StrCat(mail, " ", domain)}][shard] = world_.now();
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

SenderTls Promises::AskedOf(const std::string& mail) const {
  const auto asked = asked_.find(mail);
  return asked == asked_.end() ? SenderTls::kNone : asked->second;
}

// Not later than this.
absl::Duration Promises::AttemptBegan(int worker, const std::string& mail, const std::string& domain) const {
  absl::Duration began = absl::InfiniteDuration();
  const auto leases = last_leases_.find({worker, absl::StrCat(mail, " ", domain)});
  if (leases == last_leases_.end()) return began;
  for (const auto& [shard, time] : leases->second) began = std::min(began, time);
  return began;
}

void Promises::JudgeChannel(const Channel& channel, const std::string& mail, const std::string& domain) {
  ++(channel.tls ? counts_.encrypted : counts_.clear);
  const absl::Duration began = AttemptBegan(channel.worker, mail, domain);
  const Told told = dns_.Since(began, channel.worker, DomainNumber(domain), channel.host);
  const bool by_sts = MustKeepToSts(channel, mail, domain);
  const std::string what = absl::StrCat(mail, " to ", domain, " at host ", channel.host);
  JudgeRequireTls(channel, mail, domain, told);
  std::string wrong = "sent to a host that is closed to it";
  for (const Way& way : WaysTo(domain, told, AskedOf(mail), by_sts)) {
    wrong = WrongWith(channel, way, domain);
    if (!wrong.empty()) continue;
    CountWay(channel, way);
    const bool fell_back = way.level == delivery::TlsLevel::kOpportunistic && !channel.tls && channel.offered;
    if (fell_back) JudgeClearText(channel, mail, domain);
    break;
  }
  if (!wrong.empty()) return problem_(absl::StrCat(wrong, ": ", what));
  if (AskedOf(mail) != SenderTls::kWaived) return;
  const bool would_keep_to_sts = StsOf(domain).mode == Sts::kEnforce && PolicyOf(domain) != TlsLevel::kNone;
  const Told now = dns_.Now(DomainNumber(domain), channel.host);
  const std::vector<Way> otherwise = WaysTo(domain, now, SenderTls::kNone, would_keep_to_sts);
  counts_.waived += std::none_of(otherwise.begin(), otherwise.end(),
                                 [&](const Way& way) { return WrongWith(channel, way, domain).empty(); });
}

void Promises::CountWay(const Channel& channel, const Way& way) {
  counts_.sts += way.listed;
  counts_.dane += way.records.has_value();
  counts_.proved += way.level == delivery::TlsLevel::kVerify;
}

// Whoever says REQUIRETLS has looked who he says it to (RFC 8689 §4.2.1); and it is said where it was asked for. A
// report on such a mail says it where it can.
void Promises::JudgeRequireTls(const Channel& channel, const std::string& mail, const std::string& domain,
                               const Told& told) {
  const std::string what = absl::StrCat(mail, " to ", domain, " at host ", channel.host);
  const bool required = AskedOf(mail) == SenderTls::kRequired;
  const bool of_report = reports_on_required_.count(mail) > 0;
  if (channel.says_require_tls && !required && !of_report) problem_(absl::StrCat("REQUIRETLS by nobody: ", what));
  if (!required && !channel.says_require_tls) return;
  counts_.required += required;
  if (!channel.says_require_tls) problem_(absl::StrCat("a wish for TLS that is not passed on: ", what));
  if (!channel.announces_require_tls) problem_(absl::StrCat("REQUIRETLS to a host that does not promise it: ", what));
  const Sts sts = StsOf(domain);
  const bool certain = told.mx_proved || (sts.mode == Sts::kEnforce && sts.Lists(channel.host));
  if (!certain) problem_(absl::StrCat("REQUIRETLS to a host of an uncertain name: ", what));
}

// The attempt began when the worker knew the policy.
bool Promises::MustKeepToSts(const Channel& channel, const std::string& mail, const std::string& domain) const {
  if (StsOf(domain).mode != Sts::kEnforce) return false;
  const auto told = told_.find({channel.worker, domain});
  const absl::Duration began = AttemptBegan(channel.worker, mail, domain);
  return told != told_.end() && began < absl::InfiniteDuration() && began > told->second;
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

void Promises::JudgeEvent(const v1::Event& event, const std::string& mail) {
  if (event.type() == v1::Event::TYPE_DELIVERED) return JudgeDelivered(event, AskedOf(mail));
  if (event.type() == v1::Event::TYPE_BOUNCED || event.type() == v1::Event::TYPE_DEFERRED) JudgeFailed(event, mail);
}

void Promises::JudgeDelivered(const v1::Event& event, SenderTls asked) {
  const std::string& domain = event.domain();
  const TlsLevel policy = PolicyOf(domain);
  const v1::Tls& tls = event.outcome().tls();
  const bool encrypted = event.outcome().has_tls();
  const std::string what = absl::StrCat(event.message_id(), " ", domain, ": ", tls.policy());
  const bool required = asked == SenderTls::kRequired;
  const bool must_prove = policy == TlsLevel::kVerify || policy == TlsLevel::kDaneOnly || required;
  const bool must_encrypt = must_prove || policy == TlsLevel::kRequire;
  const bool wrong = (policy == TlsLevel::kNone && !required && encrypted) || (must_encrypt && !encrypted) ||
                     (must_prove && !tls.verified());
  if (wrong) problem_(absl::StrCat("told of another TLS than is asked for: ", what));
  if (!encrypted) return;
  const std::string& rule = tls.policy();
  const bool published = asked != SenderTls::kWaived || policy == TlsLevel::kDaneOnly;
  bool own = false;
  if (rule == absl::StrCat("verify by MTA-STS of ", domain)) {
    own = StsOf(domain).mode == Sts::kEnforce && tls.verified() && published;
  } else if (absl::StartsWith(rule, "dane by TLSA of ")) {
    const int host = HostNumber(rule.substr(sizeof "dane by TLSA of " - 1));
    const std::vector<int> hosts = HostsOf(domain);
    own = policy >= TlsLevel::kDane && tls.verified() && published && HasTlsa(host) &&
          std::find(hosts.begin(), hosts.end(), host) != hosts.end();
  } else if (rule == "verify by require_tls of the mail") {
    own = required;
  } else if (rule == "opportunistic by TLS-Required: No of the mail") {
    own = asked == SenderTls::kWaived && (policy == TlsLevel::kDane || policy == TlsLevel::kOpportunistic);
  } else if (policy == TlsLevel::kDane) {  // And its records said nothing.
    own = absl::StrContains(rule, absl::StrCat("(", domain, ") (dane: ")) &&
          (absl::StartsWith(rule, "opportunistic by ") || absl::StartsWith(rule, "require by "));
  } else {
    const bool own_row = policy == TlsLevel::kOpportunistic || absl::EndsWith(rule, absl::StrCat("(", domain, ")"));
    own = own_row && absl::StartsWith(rule, absl::StrCat(TlsLevelName(policy), " by delivery."));
  }
  if (!own) problem_(absl::StrCat("by the policy of another: ", what));
}

void Promises::JudgeFailed(const v1::Event& event, const std::string& mail) {
  const v1::Outcome& outcome = event.outcome();
  const std::string what = absl::StrCat(event.message_id(), " ", event.domain(), ": ", outcome.text());
  const TlsLevel policy = PolicyOf(event.domain());
  const bool by_us = outcome.smtp_code() == 0;
  if (by_us && absl::StartsWith(outcome.text(), "the policy is dane") && policy < TlsLevel::kDane) {
    problem_(absl::StrCat("kept by the policy of another: ", what));
  }
  if (event.type() == v1::Event::TYPE_BOUNCED) {
    const bool of_tls = by_us && absl::StartsWith(outcome.enhanced_code(), "5.7.");
    if (of_tls && !IsUnpromised(event, mail)) problem_(absl::StrCat("bounced for TLS that may come back: ", what));
    return;
  }
  if (AskedOf(mail) != SenderTls::kWaived || policy == TlsLevel::kDaneOnly || !by_us) return;
  const bool by_policy =
      absl::StartsWith(outcome.text(), "the policy is dane") || absl::StrContains(outcome.text(), "MTA-STS");
  if (by_policy) problem_(absl::StrCat("kept by a policy that the sender waives: ", what));
}

bool Promises::IsUnpromised(const v1::Event& event, const std::string& mail) const {
  if (event.type() != v1::Event::TYPE_BOUNCED || event.outcome().enhanced_code() != "5.7.30") return false;
  const std::vector<int> hosts = HostsOf(event.domain());
  return AskedOf(mail) == SenderTls::kRequired &&
         std::all_of(hosts.begin(), hosts.end(), [&](int host) { return without_require_tls_.count(host) > 0; });
}

void Promises::Check(bool wrong_clocks) {
  if (wrong_clocks) return;
  for (const std::string& hasty : hasty_) problem_(hasty);
}

}  // namespace hikyaku::sim
