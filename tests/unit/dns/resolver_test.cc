// CachingResolver over a scripted engine, and MxResolver over FakeResolver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/clock.h"
#include "lib/dns/caching_resolver.h"
#include "lib/dns/fake_resolver.h"
#include "lib/dns/mx_resolver.h"
#include "lib/net/io_pool.h"
#include "lib/net/task_group.h"
#include "tests/unit/dns/message_builder.h"
#include "tests/unit/net/run.h"

namespace hikyaku::dns {
namespace {

using net::RunTask;
using testing::ElementsAre;

constexpr absl::Duration kLimit = absl::Seconds(5);

// Answers from a script; a question that is not in it waits until Release.
class ScriptedEngine : public QueryEngine {
 public:
  ~ScriptedEngine() override {
    for (auto& [question, done] : waiting_) done(absl::CancelledError("stop"));
  }

  void Query(std::string name, RecordType type, Done done) override {
    {
      absl::MutexLock lock(&mutex_);
      ++queries_;
      const auto found = script_.find({name, type});
      if (found == script_.end()) {
        waiting_.emplace_back(Key(name, type), std::move(done));
        return;
      }
    }
    done(script_.at({name, type}));
  }

  void Set(const std::string& name, RecordType type, absl::StatusOr<std::string> message) {
    absl::MutexLock lock(&mutex_);
    script_.insert_or_assign(Key(name, type), std::move(message));
  }

  // Answers all that wait and now are in the script.
  void Release() {
    std::vector<std::pair<Key, Done>> waiting;
    {
      absl::MutexLock lock(&mutex_);
      waiting.swap(waiting_);
    }
    for (auto& [key, done] : waiting) done(script_.at(key));
  }

  int queries() {
    absl::MutexLock lock(&mutex_);
    return queries_;
  }

 private:
  using Key = std::pair<std::string, RecordType>;

  absl::Mutex mutex_;
  int queries_ = 0;
  std::map<Key, absl::StatusOr<std::string>> script_;
  std::vector<std::pair<Key, Done>> waiting_;
};

class CachingResolverTest : public testing::Test {
 protected:
  FakeClock clock_;
  ScriptedEngine* engine_ = new ScriptedEngine;
  CachingResolver resolver_{std::unique_ptr<QueryEngine>(engine_), CacheOptions(), clock_};
};

std::string MxMessage(std::uint32_t ttl) {
  return MessageBuilder("a.test", RecordType::kMx).Mx("a.test", ttl, 10, "mx.a.test").Build();
}

TEST_F(CachingResolverTest, AsksOnceWithinTheTtl) {
  engine_->Set("a.test", RecordType::kMx, MxMessage(60));
  for (int i = 0; i < 3; ++i) {
    const auto answer = RunTask(resolver_.ResolveMx(i == 0 ? "a.test" : "A.Test.", kLimit));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_THAT(answer->records, ElementsAre(MxRecord{10, "mx.a.test"}));
    EXPECT_EQ(answer->expires, clock_.Now() + absl::Seconds(60));
  }
  EXPECT_EQ(engine_->queries(), 1);
  clock_.Advance(absl::Seconds(60));
  EXPECT_TRUE(RunTask(resolver_.ResolveMx("a.test", kLimit)).ok());
  EXPECT_EQ(engine_->queries(), 2);
}

TEST_F(CachingResolverTest, TlsaAndAliasesComeAsTheyAre) {
  engine_->Set("_25._tcp.a.test", RecordType::kTlsa,
               MessageBuilder("_25._tcp.a.test", RecordType::kTlsa)
                   .Tlsa("_25._tcp.a.test", 60, std::string("\3\1\1hash"))
                   .Tlsa("_25._tcp.a.test", 60, "\3\1")
                   .Build());
  const auto tlsa = RunTask(resolver_.ResolveTlsa("_25._tcp.a.test", kLimit));
  ASSERT_TRUE(tlsa.ok()) << tlsa.status();
  EXPECT_THAT(tlsa->records, ElementsAre(TlsaRecord{3, 1, 1, "hash"}, TlsaRecord{255, 255, 255, ""}));
  engine_->Set("a.test", RecordType::kCname,
               MessageBuilder("a.test", RecordType::kCname).Name("a.test", 60, RecordType::kCname, "b.test").Build());
  const auto alias = RunTask(resolver_.ResolveAlias("a.test", kLimit));
  ASSERT_TRUE(alias.ok()) << alias.status();
  EXPECT_THAT(alias->records, ElementsAre("b.test"));
}

// Whether AD is set in the answers for AAAA and A.
struct ProofCase {
  const char* name;
  absl::StatusOr<std::string> v6, v4;
  bool proved;
};

class AddressProof : public testing::TestWithParam<ProofCase> {
 protected:
  static CacheOptions Believing() {
    CacheOptions options;
    options.believe_ad = true;
    return options;
  }

  ScriptedEngine* engine_ = new ScriptedEngine;
  FakeClock clock_;
  CachingResolver resolver_{std::unique_ptr<QueryEngine>(engine_), Believing(), clock_};
};

TEST_P(AddressProof, IsThatOfWhatGaveAddresses) {
  engine_->Set("a.test", RecordType::kAaaa, GetParam().v6);
  engine_->Set("a.test", RecordType::kA, GetParam().v4);
  const auto answer = RunTask(resolver_.ResolveAddresses("a.test", kLimit));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->authenticated, GetParam().proved);
}

std::string AddressMessage(RecordType type, bool proved, const char* address) {
  MessageBuilder builder("a.test", type);
  if (address != nullptr) builder.Address("a.test", 60, address);
  if (proved) builder.Authenticated();
  return builder.Build();
}

std::vector<ProofCase> ProofCases() {
  const auto v6 = [](bool proved, bool any = true) {
    return AddressMessage(RecordType::kAaaa, proved, any ? "2001:db8::1" : nullptr);
  };
  const auto v4 = [](bool proved) { return AddressMessage(RecordType::kA, proved, "192.0.2.1"); };
  return {{"Both", v6(true), v4(true), true},
          {"OneOfTwo", v6(false), v4(true), false},
          {"Neither", v6(false), v4(false), false},
          {"NoneOfOneFamily", v6(true, false), v4(true), true},
          {"NoneOfOneFamilyProvesNothing", v6(true, false), v4(false), false},
          {"FailureOfOneFamilyTakesNothingAway", absl::UnavailableError("SERVFAIL"), v4(true), true}};
}

INSTANTIATE_TEST_SUITE_P(Rfc7672Section222, AddressProof, testing::ValuesIn(ProofCases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(CachingResolverTest, RecoversASecondAfterAFailure) {
  engine_->Set("a.test", RecordType::kMx, absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(RunTask(resolver_.ResolveMx("a.test", kLimit)).status().code(), absl::StatusCode::kUnavailable);
  engine_->Set("a.test", RecordType::kMx, MxMessage(60));
  EXPECT_FALSE(RunTask(resolver_.ResolveMx("a.test", kLimit)).ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(RunTask(resolver_.ResolveMx("a.test", kLimit)).ok());
}

TEST_F(CachingResolverTest, WhatIsNoNameIsNotAsked) {
  EXPECT_EQ(RunTask(resolver_.ResolveMx("no name", kLimit)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->queries(), 0);
}

TEST_F(CachingResolverTest, LimitEndsTheWaitButTheAnswerIsKept) {
  EXPECT_EQ(RunTask(resolver_.ResolveMx("a.test", absl::Milliseconds(10))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  engine_->Set("a.test", RecordType::kMx, MxMessage(60));
  engine_->Release();
  EXPECT_TRUE(RunTask(resolver_.ResolveMx("a.test", kLimit)).ok());
  EXPECT_EQ(engine_->queries(), 1);
}

awaitable<void> Ask(Resolver& resolver, std::atomic<int>& good) {
  const auto answer = co_await resolver.ResolveMx("a.test", kLimit);
  if (answer.ok()) ++good;
}

TEST_F(CachingResolverTest, EqualQuestionsShareOneQuery) {
  net::IoPool pool(2);
  net::TaskGroup group;
  std::atomic<int> good{0};
  for (int i = 0; i < 100; ++i) group.Spawn(pool.Next(), Ask(resolver_, good));
  group.Close();
  EXPECT_FALSE(group.WaitFor(absl::Milliseconds(20)));
  engine_->Set("a.test", RecordType::kMx, MxMessage(60));
  engine_->Release();
  group.Wait();
  EXPECT_EQ(good, 100);
  EXPECT_EQ(engine_->queries(), 1);
}

struct AddressCase {
  const char* name;
  absl::StatusOr<std::string> v6;
  absl::StatusOr<std::string> v4;
  absl::StatusCode code;
  std::vector<std::string> addresses;
};

std::vector<AddressCase> AddressCases() {
  const std::string v6 = MessageBuilder("h.test", RecordType::kAaaa).Address("h.test", 60, "2001:db8::1").Build();
  const std::string v4 = MessageBuilder("h.test", RecordType::kA).Address("h.test", 60, "192.0.2.1").Build();
  const std::string none = MessageBuilder("h.test", RecordType::kA).Build();
  MessageBuilder gone_builder("h.test", RecordType::kA);
  const std::string gone = gone_builder.Code(3).Build();
  const absl::Status broken = absl::UnavailableError("SERVFAIL");
  using absl::StatusCode;
  return {{"BothV6First", v6, v4, StatusCode::kOk, {"2001:db8::1", "192.0.2.1"}},
          {"BrokenV6IsForgiven", broken, v4, StatusCode::kOk, {"192.0.2.1"}},
          {"BrokenV4IsForgiven", v6, broken, StatusCode::kOk, {"2001:db8::1"}},
          {"NoSuchName", gone, gone, StatusCode::kNotFound, {}},
          {"NoAddress", none, none, StatusCode::kOk, {}},
          {"EmptyAndBrokenIsBroken", none, broken, StatusCode::kUnavailable, {}},
          {"BrokenAndEmptyIsBroken", broken, none, StatusCode::kUnavailable, {}}};
}

class CachingResolverAddresses : public CachingResolverTest, public testing::WithParamInterface<AddressCase> {};

TEST_P(CachingResolverAddresses, AreMerged) {
  engine_->Set("h.test", RecordType::kAaaa, GetParam().v6);
  engine_->Set("h.test", RecordType::kA, GetParam().v4);
  for (int i = 0; i < 2; ++i) {  // From the engine, then from the cache.
    const auto answer = RunTask(resolver_.ResolveAddresses("h.test", kLimit));
    EXPECT_EQ(answer.status().code(), GetParam().code);
    if (!answer.ok()) continue;
    std::vector<std::string> addresses;
    for (const auto& address : answer->records) addresses.push_back(address.ToString());
    EXPECT_EQ(addresses, GetParam().addresses);
  }
  EXPECT_EQ(engine_->queries(), 2);
}

INSTANTIATE_TEST_SUITE_P(Families, CachingResolverAddresses, testing::ValuesIn(AddressCases()),
                         [](const auto& info) { return std::string(info.param.name); });

class MxResolverTest : public testing::Test {
 protected:
  absl::StatusOr<MxAnswer> Resolve(const std::string& domain) { return RunTask(mx_.Resolve(domain, kLimit)); }

  std::vector<std::string> Hosts(const std::string& domain) {
    std::vector<std::string> names;
    const auto answer = Resolve(domain);
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (!answer.ok()) return names;
    for (const MxHost& host : answer->hosts) names.push_back(host.name);
    return names;
  }

  FakeResolver dns_;
  MxResolver mx_{dns_};
};

TEST_F(MxResolverTest, BestPreferenceComesFirst) {
  dns_.SetMx("a.test", {{20, "second.test"}, {10, "first.test"}, {30, "third.test"}});
  EXPECT_THAT(Hosts("a.test"), ElementsAre("first.test", "second.test", "third.test"));
  EXPECT_FALSE(Resolve("a.test")->implicit);
}

TEST_F(MxResolverTest, EqualPreferencesShareTheLoad) {
  dns_.SetMx("a.test", {{10, "x.test"}, {10, "y.test"}, {10, "z.test"}});
  std::map<std::string, int> first;
  for (int i = 0; i < 900; ++i) ++first[Hosts("a.test")[0]];
  for (const auto& [host, count] : first) EXPECT_NEAR(count, 300, 60) << host;  // 4 standard deviations.
}

TEST_F(MxResolverTest, NoMxMeansTheDomainItself) {
  dns_.SetAddresses("a.test", {"2001:db8::1"});
  EXPECT_THAT(Hosts("a.test"), ElementsAre("a.test"));
  EXPECT_TRUE(Resolve("a.test")->implicit);
}

TEST_F(MxResolverTest, NeitherMxNorAddressIsNotFound) {
  dns_.SetTxt("a.test", {"something else"});
  EXPECT_EQ(Resolve("a.test").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Resolve("unknown.test").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MxResolverTest, NullMxRefusesMailWhateverItsPreference) {
  dns_.SetMx("a.test", {{0, ""}});
  dns_.SetMx("b.test", {{10, ""}});
  EXPECT_EQ(Resolve("a.test").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Resolve("b.test").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MxResolverTest, NullMxBesideRealOnesIsIgnored) {
  dns_.SetMx("a.test", {{0, ""}, {10, "mx.test"}});
  EXPECT_THAT(Hosts("a.test"), ElementsAre("mx.test"));
}

TEST_F(MxResolverTest, FailuresStayTransient) {
  dns_.Fail("a.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Resolve("a.test").status().code(), absl::StatusCode::kUnavailable);
  dns_.Fail("b.test", absl::DeadlineExceededError("silence"));
  EXPECT_EQ(RunTask(mx_.Resolve("b.test", absl::Milliseconds(5))).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(MxResolverTest, ManyHostsAndAddressesAreBounded) {
  std::vector<MxRecord> records;
  std::vector<std::string> addresses;
  for (int i = 0; i < 500; ++i) records.push_back({10, absl::StrCat("mx", i, ".test")});
  for (int i = 1; i <= 10; ++i) addresses.push_back(absl::StrCat("192.0.2.", i));
  dns_.SetMx("a.test", records);
  dns_.SetAddresses("mx.test", addresses);
  EXPECT_EQ(Hosts("a.test").size(), static_cast<std::size_t>(kMaxHosts));
  EXPECT_EQ(RunTask(mx_.ResolveHost("mx.test", kLimit))->addresses.size(),
            static_cast<std::size_t>(kMaxAddressesPerHost));
}

TEST_F(MxResolverTest, FamiliesAlternateWithV6First) {
  dns_.SetAddresses("mx.test", {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"});
  const auto addresses = RunTask(mx_.ResolveHost("mx.test", kLimit))->addresses;
  ASSERT_EQ(addresses.size(), 4u);
  EXPECT_TRUE(addresses[0].is_v6());
  EXPECT_TRUE(addresses[1].is_v4());
}

TEST_F(MxResolverTest, WhatIsProvedIsToldOfNamesAndAddresses) {
  dns_.SetMx("a.test", {{10, "mx.test"}});
  dns_.SetAlias("mx.test", "real.test");
  dns_.SetAddresses("real.test", {"192.0.2.1"});
  dns_.SetAddresses("implicit.test", {"192.0.2.1"});
  EXPECT_FALSE(Resolve("a.test")->authenticated);
  EXPECT_FALSE(Resolve("implicit.test")->authenticated);
  for (const char* name : {"a.test", "mx.test", "implicit.test"}) dns_.SetSecure(name);
  EXPECT_TRUE(Resolve("a.test")->authenticated);
  EXPECT_TRUE(Resolve("implicit.test")->authenticated);
  EXPECT_FALSE(RunTask(mx_.ResolveHost("mx.test", kLimit))->authenticated);
  dns_.SetSecure("real.test");
  const auto host = RunTask(mx_.ResolveHost("mx.test", kLimit));
  EXPECT_TRUE(host->authenticated);
  EXPECT_EQ(host->alias_of, "real.test");
}

TEST_F(MxResolverTest, HostWithoutAddressIsNotFound) {
  dns_.SetAddresses("mx.test", {});
  EXPECT_EQ(RunTask(mx_.ResolveHost("mx.test", kLimit)).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace hikyaku::dns
