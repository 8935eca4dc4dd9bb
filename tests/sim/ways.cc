#include "tests/sim/ways.h"

#include <algorithm>

namespace hikyaku::sim {
namespace {

using delivery::TlsLevel;

// RFC 7672 §2.2, as docs/tls.md has it for `dane` and `dane_only`.
std::vector<Way> WaysOfDane(const Told& told, bool only) {
  std::vector<Way> ways;
  const auto was_told = [&](Tlsa answer) { return told.tlsa.count(answer) > 0; };
  const bool without = told.mx_unproved || told.address_unproved || was_told(Tlsa::kNone) || was_told(Tlsa::kUnproved);
  if (without && !only) ways.push_back({TlsLevel::kOpportunistic});
  if (!told.mx_proved || !told.address_proved) return ways;
  for (const Tlsa records : {Tlsa::kGood, Tlsa::kOther, Tlsa::kBoth}) {
    if (was_told(records)) ways.push_back({TlsLevel::kVerify, records});
  }
  if (was_told(Tlsa::kUnusable) && !only) ways.push_back({TlsLevel::kRequire});
  return ways;
}

bool Fits(const Channel& channel, Tlsa records) {
  if (!channel.tls || !channel.own_name) return false;
  const bool good = records == Tlsa::kGood || records == Tlsa::kBoth;
  const bool other = records == Tlsa::kOther || records == Tlsa::kBoth;
  return (good && channel.certificate == Certificate::kGood) ||
         (other && channel.certificate == Certificate::kSelfSigned);
}

}  // namespace

std::vector<Way> WaysTo(absl::string_view domain, const Told& told, SenderTls asked, bool by_sts) {
  const TlsLevel policy = PolicyOf(domain);
  const bool waived = asked == SenderTls::kWaived;
  std::vector<Way> ways;
  if (policy < TlsLevel::kDane) {
    ways.push_back({policy});
  } else if (policy == TlsLevel::kDane && waived) {
    ways.push_back({TlsLevel::kOpportunistic});
  } else {
    ways = WaysOfDane(told, policy == TlsLevel::kDaneOnly);
  }
  for (Way& way : ways) {
    way.listed = by_sts && !waived && !way.records;
    if (way.listed || asked == SenderTls::kRequired) way.level = std::max(way.level, TlsLevel::kVerify);
  }
  return ways;
}

std::string WrongWith(const Channel& channel, const Way& way, absl::string_view domain) {
  if (way.listed && !StsOf(domain).Lists(channel.host)) return "sent to a host that the policy does not list";
  if (way.level == TlsLevel::kNone && channel.tls) return "TLS where none is asked for";
  if (way.level >= TlsLevel::kRequire && !channel.tls) return "clear text where TLS is required";
  if (way.records) return Fits(channel, *way.records) ? "" : "sent to a host that does not fit its TLSA records";
  if (way.level == TlsLevel::kVerify && !channel.proved()) return "sent to a host that did not prove itself";
  return "";
}

}  // namespace hikyaku::sim
