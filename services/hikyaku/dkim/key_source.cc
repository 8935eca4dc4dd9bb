#include "services/hikyaku/dkim/key_source.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/dns/cares_engine.h"
#include "lib/dns/dns_message.h"
#include "lib/net/endpoint.h"
#include "services/hikyaku/dkim/zone_file.h"

namespace hikyaku::cli {
namespace {

class ZoneKeySource : public KeySource {
 public:
  explicit ZoneKeySource(TxtRecords records) : records_(std::move(records)) {}

  dkim::KeyAnswer Ask(const std::string& name) const override {
    const auto found = records_.find(name);
    if (found == records_.end()) return absl::NotFoundError("not in the zone file");
    return found->second;
  }

 private:
  const TxtRecords records_;
};

class DnsKeySource : public KeySource {
 public:
  explicit DnsKeySource(std::unique_ptr<dns::QueryEngine> engine) : engine_(std::move(engine)) {}

  dkim::KeyAnswer Ask(const std::string& name) const override {
    ASSIGN_OR_RETURN(const std::string question, dns::NormaliseName(name));
    absl::StatusOr<std::string> answer = absl::UnknownError("");
    absl::Notification answered;
    engine_->Query(question, dns::RecordType::kTxt, [&](absl::StatusOr<std::string> bytes) {
      answer = std::move(bytes);
      answered.Notify();
    });
    answered.WaitForNotification();
    if (!answer.ok()) return answer.status();
    const auto response = dns::ParseResponse(*answer, question, dns::RecordType::kTxt);
    if (!response.ok()) return absl::UnavailableError(response.status().message());
    if (response->code == dns::ResponseCode::kNxDomain) return absl::NotFoundError("no such name");
    std::vector<std::string> records;
    for (const dns::RecordData& record : response->records) records.push_back(record.text);
    return records;
  }

 private:
  const std::unique_ptr<dns::QueryEngine> engine_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<KeySource>> ZoneKeys(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read: ", std::strerror(errno)));
  absl::StatusOr<TxtRecords> records = ParseZone(text.str());
  if (!records.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", records.status().message()));
  return std::make_unique<ZoneKeySource>(*std::move(records));
}

absl::StatusOr<std::unique_ptr<KeySource>> DnsKeys(const std::string& server) {
  dns::CaresOptions options;
  if (!server.empty()) {
    ASSIGN_OR_RETURN(const net::Endpoint at, net::ParseEndpoint(server, /*default_port=*/53));
    options.servers.push_back(at);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<dns::QueryEngine> engine, dns::CreateCaresEngine(std::move(options)));
  return std::make_unique<DnsKeySource>(std::move(engine));
}

DkimReport CheckSignatures(absl::string_view message, const KeySource& keys) {
  const auto verdicts = dkim::Verify(message, absl::ToUnixSeconds(absl::Now()),
                                     [&keys](const std::string& name) { return keys.Ask(name); });
  if (!verdicts.ok()) return {false, {absl::StrCat("permerror: ", verdicts.status().message())}};
  if (verdicts->empty()) return {false, {"none: there is no DKIM-Signature"}};
  DkimReport report;
  for (const dkim::Verdict& verdict : *verdicts) {
    report.pass |= verdict.result == dkim::Result::kPass;
    report.lines.push_back(verdict.ToString());
  }
  return report;
}

}  // namespace hikyaku::cli
