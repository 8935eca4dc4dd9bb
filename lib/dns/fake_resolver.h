// A Resolver with a script instead of servers, for tests. A name that the script does not know does not exist.
//
// Threading: safe from every thread, so that a test may change the world while mail is on its way.
#ifndef HIKYAKU_LIB_DNS_FAKE_RESOLVER_H_
#define HIKYAKU_LIB_DNS_FAKE_RESOLVER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/dns/resolver.h"

namespace hikyaku::dns {

class FakeResolver : public Resolver {
 public:
  // Each replaces what was set before. Setting one type makes the name exist: its other types are empty.
  void SetMx(const std::string& domain, std::vector<MxRecord> records);
  void SetAddresses(const std::string& host, const std::vector<std::string>& addresses);
  void SetTxt(const std::string& name, std::vector<std::string> texts);
  void SetPtr(const std::string& address, std::vector<std::string> names);

  void SetTlsa(const std::string& name, std::vector<TlsaRecord> records);

  // `name` is an alias of `target`, for addresses.
  void SetAlias(const std::string& name, const std::string& target);

  // From now on the answers on `name` are authenticated, or no longer.
  void SetSecure(const std::string& name, bool secure = true);

  // Every look-up of `name` gives `status`, until it is set to ok; kDeadlineExceeded waits for the limit first.
  void Fail(const std::string& name, absl::Status status);

  // Look-ups so far, of all names and types.
  int lookups() const;

  awaitable<absl::StatusOr<MxAnswers>> ResolveMx(std::string domain, absl::Duration limit) override;
  awaitable<absl::StatusOr<AddressAnswers>> ResolveAddresses(std::string host, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolveTxt(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TlsaAnswers>> ResolveTlsa(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolveAlias(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolvePtr(address::IpAddress address, absl::Duration limit) override;

 private:
  struct Zone {
    absl::Status failure;
    std::vector<MxRecord> mx;
    std::vector<address::IpAddress> addresses;
    std::vector<std::string> texts;
    std::vector<std::string> pointers;
    std::vector<TlsaRecord> tlsa;
    std::string alias_of;
    bool secure = false;
  };

  // The scripted state of `name`, or its error.
  awaitable<absl::StatusOr<Zone>> Find(std::string name, absl::Duration limit);

  mutable absl::Mutex mutex_;
  std::map<std::string, Zone> zones_ ABSL_GUARDED_BY(mutex_);  // By name in lower case, or by address.
  int lookups_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_FAKE_RESOLVER_H_
