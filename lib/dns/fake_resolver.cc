#include "lib/dns/fake_resolver.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/net/sleep.h"

namespace hikyaku::dns {
namespace {

std::string Key(const std::string& name) { return absl::AsciiStrToLower(absl::StripSuffix(name, ".")); }

template <typename Record>
Answer<Record> Make(std::vector<Record> records, bool secure) {
  return {std::move(records), absl::InfiniteFuture(), secure};
}

}  // namespace

void FakeResolver::SetMx(const std::string& domain, std::vector<MxRecord> records) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(domain)].mx = std::move(records);
}

void FakeResolver::SetAddresses(const std::string& host, const std::vector<std::string>& addresses) {
  absl::MutexLock lock(&mutex_);
  auto& known = zones_[Key(host)].addresses;
  known.clear();
  for (const std::string& text : addresses) {
    const auto address = address::IpAddress::Parse(text);
    HIKYAKU_CHECK(address.ok());
    known.push_back(*address);
  }
}

void FakeResolver::SetTxt(const std::string& name, std::vector<std::string> texts) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(name)].texts = std::move(texts);
}

void FakeResolver::SetPtr(const std::string& address, std::vector<std::string> names) {
  absl::MutexLock lock(&mutex_);
  zones_[address].pointers = std::move(names);
}

void FakeResolver::SetTlsa(const std::string& name, std::vector<TlsaRecord> records) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(name)].tlsa = std::move(records);
}

void FakeResolver::SetAlias(const std::string& name, const std::string& target) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(name)].alias_of = Key(target);
}

void FakeResolver::SetSecure(const std::string& name, bool secure) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(name)].secure = secure;
}

void FakeResolver::Fail(const std::string& name, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  zones_[Key(name)].failure = std::move(status);
}

int FakeResolver::lookups() const {
  absl::MutexLock lock(&mutex_);
  return lookups_;
}

awaitable<absl::StatusOr<FakeResolver::Zone>> FakeResolver::Find(std::string name, absl::Duration limit) {
  std::optional<Zone> zone;
  {
    absl::MutexLock lock(&mutex_);
    ++lookups_;
    if (const auto found = zones_.find(name); found != zones_.end()) zone = found->second;
  }
  if (!zone) co_return absl::NotFoundError(absl::StrCat(name, " does not exist (NXDOMAIN)"));
  if (absl::IsDeadlineExceeded(zone->failure)) CO_RETURN_IF_ERROR(co_await net::Sleep(limit));
  CO_RETURN_IF_ERROR(zone->failure);
  co_return *std::move(zone);
}

awaitable<absl::StatusOr<MxAnswers>> FakeResolver::ResolveMx(std::string domain, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(Key(domain), limit));
  co_return Make(std::move(zone.mx), zone.secure);
}

awaitable<absl::StatusOr<AddressAnswers>> FakeResolver::ResolveAddresses(std::string host, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(Key(host), limit));
  if (zone.alias_of.empty()) co_return Make(std::move(zone.addresses), zone.secure);
  CO_ASSIGN_OR_RETURN(Zone target, co_await Find(zone.alias_of, limit));
  AddressAnswers answer = Make(std::move(target.addresses), zone.secure && target.secure);
  answer.alias_of = zone.alias_of;
  co_return answer;
}

awaitable<absl::StatusOr<TextAnswers>> FakeResolver::ResolveTxt(std::string name, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(Key(name), limit));
  co_return Make(std::move(zone.texts), zone.secure);
}

awaitable<absl::StatusOr<TlsaAnswers>> FakeResolver::ResolveTlsa(std::string name, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(Key(name), limit));
  co_return Make(std::move(zone.tlsa), zone.secure);
}

awaitable<absl::StatusOr<TextAnswers>> FakeResolver::ResolveAlias(std::string name, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(Key(name), limit));
  std::vector<std::string> target;
  if (!zone.alias_of.empty()) target.push_back(std::move(zone.alias_of));
  co_return Make(std::move(target), zone.secure);
}

awaitable<absl::StatusOr<TextAnswers>> FakeResolver::ResolvePtr(address::IpAddress address, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(Zone zone, co_await Find(address.ToString(), limit));
  co_return Make(std::move(zone.pointers), zone.secure);
}

}  // namespace hikyaku::dns
