#include "tests/sim/faults.h"

#include <algorithm>
#include <utility>

#include "tests/sim/secrets.h"

namespace hikyaku::sim {

Faults::Faults(Cluster cluster, absl::Duration since) : cluster_(cluster), clock_set_(cluster.shards.size(), since) {
  AddProcessFaults();
  AddNetworkFaults();
  AddDiskFaults();
  AddHostFaults();
  AddTlsFaults();
  AddDaneFaults();
  AddOperatorFaults();
  AddSigningFaults();
  // Most of the kinds are left out, some are there twice.
  std::vector<Kind> chosen;
  const std::size_t most = 1 + random().Below(8);
  for (std::size_t i = 0; i < most; ++i) chosen.push_back(kinds_[random().Below(kinds_.size())]);
  kinds_ = std::move(chosen);
  for (const Kind& kind : kinds_) cluster_.world.Trace("this world knows: ", kind.name);
  pause_ = random().Chance(0.3) ? absl::Seconds(1) : absl::Seconds(4);
}

void Faults::Start(absl::Duration end) { Next(end); }

void Faults::Next(absl::Duration end) {
  const absl::Duration pause = pause_ * (0.1 + 2 * random().Fraction());
  if (cluster_.world.now() + pause >= end) return;
  cluster_.world.After(pause, [this, end] {
    const Kind& kind = kinds_[random().Below(kinds_.size())];
    cluster_.world.Trace("fault: ", kind.name);
    kind.strike();
    Next(end);
  });
}

void Faults::For(absl::Duration time, std::function<void()> undo) {
  cluster_.world.After(time, [this, undo = std::move(undo)] {
    if (!healed_) undo();
  });
}

Link* Faults::AnyLink(bool worker) {
  const Links& links = worker ? AnyWorker().links() : AnyFrontEnd().links();
  return links.empty() ? nullptr : links[random().Below(links.size())].get();
}

void Faults::AddProcessFaults() {
  kinds_.push_back({"shard crash", [this] { AnyShard().Crash(Some(0.05, 12)); }});
  kinds_.push_back({"shard restart", [this] { AnyShard().Restart(Some(0.05, 6)); }});
  kinds_.push_back({"worker crash", [this] { AnyWorker().Crash(Some(0.05, 8)); }});
  kinds_.push_back({"front-end crash", [this] { AnyFrontEnd().Crash(Some(0.05, 5)); }});
  kinds_.push_back({"power cut", [this] {
                      for (const auto& shard : cluster_.shards) shard->Crash(Some(0.1, 5));
                      for (const auto& worker : cluster_.workers) worker->Crash(Some(0.1, 5));
                      for (const auto& front_end : cluster_.front_ends) front_end->Crash(Some(0.1, 5));
                    }});
  kinds_.push_back({"clock", [this] { SetClock(); }});
}

void Faults::SetClock() {
  wrong_clocks_ = true;
  const bool small = random().Chance(0.5);
  const absl::Duration offset = small ? Some(-3, 3) : Some(-300, 300);
  if (random().Chance(0.3)) {
    AnyWorker().clock.offset = offset;
    return;
  }
  if (random().Chance(0.3)) {
    AnyFrontEnd().clock.offset = offset;
    return;
  }
  ShardNode& shard = AnyShard();
  if (cluster_.world.now() < clock_set_[shard.index()] + kBetweenJumps) return;
  clock_set_[shard.index()] = cluster_.world.now();
  shard.clock.offset = offset;
}

void Faults::AddNetworkFaults() {
  kinds_.push_back({"broken stream", [this] {
                      if (Link* link = AnyLink(true)) link->BreakStreams();
                    }});
  kinds_.push_back({"worker cut off", [this] {
                      if (Link* link = AnyLink(true)) link->Cut(Some(0.1, 30));
                    }});
  kinds_.push_back({"front-end cut off", [this] {
                      if (Link* link = AnyLink(false)) link->Cut(Some(0.1, 15));
                    }});
  kinds_.push_back({"lost answers", [this] {
                      for (const auto& front_end : cluster_.front_ends) {
                        for (const auto& link : front_end->links()) link->losing_answers = 0.3;
                      }
                      For(Some(0.5, 10), [this] {
                        for (const auto& front_end : cluster_.front_ends) {
                          for (const auto& link : front_end->links()) link->losing_answers = 0;
                        }
                      });
                    }});
  kinds_.push_back({"slow network", [this] {
                      Link* link = AnyLink(random().Chance(0.5));
                      if (link == nullptr) return;
                      link->slowness = Some(0.05, 1.5);
                    }});
}

void Faults::AddDiskFaults() {
  const auto add = [this](const char* name, double SimDisk::* fault, double chance) {
    kinds_.push_back({name, [this, fault, chance] {
                        SimDisk& disk = AnyShard().disk;
                        disk.*fault = chance;
                        For(Some(0.2, 6), [&disk, fault] { disk.*fault = 0; });
                      }});
  };
  add("failing writes", &SimDisk::failing_writes, 0.2);
  add("writes that kill", &SimDisk::crashing_writes, 0.1);
  add("failing reads", &SimDisk::failing_reads, 0.3);
  add("sick store", &SimDisk::sick, 0.5);
  kinds_.push_back({"full disk", [this] {
                      SimDisk& disk = AnyShard().disk;
                      disk.full = true;
                      For(Some(1, 20), [&disk] { disk.full = false; });
                    }});
  kinds_.push_back({"slow disk", [this] {
                      ShardNode& shard = AnyShard();
                      shard.slow_commits = 0.5;
                      For(Some(1, 15), [&shard] { shard.slow_commits = 0; });
                    }});
}

void Faults::AddHostFaults() {
  for (int i = 0; i < 4; ++i) kinds_.push_back({"mail host", [this] { StrikeHost(); }});
  kinds_.push_back({"lost replies", [this] {
                      for (int i = 0; i < kHosts; ++i) cluster_.hosts.faults(i).loses_reply = 0.2;
                      For(Some(1, 15), [this] {
                        for (int i = 0; i < kHosts; ++i) cluster_.hosts.faults(i).loses_reply = 0;
                      });
                    }});
  kinds_.push_back({"DNS", [this] {
                      const int domain = static_cast<int>(random().Below(kDomains));
                      const std::uint64_t dice = random().Below(10);
                      absl::StatusCode& code = cluster_.hosts.zones().code(domain);
                      code = dice == 0  ? absl::StatusCode::kNotFound
                             : dice < 6 ? absl::StatusCode::kUnavailable
                                        : absl::StatusCode::kDeadlineExceeded;
                      For(Some(0.5, 20), [&code] { code = absl::StatusCode::kOk; });
                    }});
}

void Faults::StrikeHost() {
  HostFaults& faults = cluster_.hosts.faults(static_cast<int>(random().Below(kHosts)));
  const double often = random().Chance(0.5) ? 0.5 : 0.1;
  switch (random().Below(11)) {
    case 0: faults.mode = HostFaults::kRefuses; break;
    case 1: faults.mode = HostFaults::kSilent; break;
    case 2: faults.mode = HostFaults::kBusy; break;
    case 3: faults.mode = HostFaults::kClosed; break;
    case 4: faults.transient = often; break;
    case 5: faults.permanent = often; break;
    case 6: faults.rejects_mail = often; break;
    case 7: faults.hangs = 0.1; break;
    case 8: faults.resets = often; break;
    case 9: faults.loses_reply = often; break;
    default: faults.slow = 0.2; break;
  }
  // 554 to every connection ends all mail of the domain; its users were refused by nobody in particular.
  if (faults.mode == HostFaults::kClosed) {
    for (int i = 0; i < kDomains; ++i) cluster_.books.NoteDead(DomainName(i));
  }
  For(Some(1, 30), [&faults] { faults = {}; });
}

// In some worlds, some hosts are never well before the end.
void Faults::AddTlsFaults() {
  for (int i = 0; i < 3; ++i) {
    kinds_.push_back({"TLS", [this] {
                        HostFaults& faults = cluster_.hosts.faults(static_cast<int>(random().Below(kHosts)));
                        StrikeTls(faults);
                        For(Some(1, 40), [&faults] { faults.tls = HostFaults::kGood; });
                      }});
  }
  kinds_.push_back({"policy hosts", [this] {
                      for (int i = 0; i < kDomains; ++i) StrikePolicyHost(i);
                      For(Some(1, 60), [this] { cluster_.hosts.policy_hosts().HealAll(); });
                    }});
  const bool ailing = random().Chance(0.3);
  for (int i = 0; i < kHosts; ++i) {
    if (ailing && random().Chance(0.4)) StrikeTls(cluster_.hosts.faults(i));
    if (ailing && random().Chance(0.2)) StrikePolicyHost(i);
  }
}

// Of a rollover, each half may be done without the other.
void Faults::AddDaneFaults() {
  for (int i = 0; i < 2; ++i) {
    kinds_.push_back({"TLSA", [this] {
                        const int host = AnyHostWithTlsa();
                        StrikeTlsa(host);
                        For(Some(1, 60), [this, host] { cluster_.hosts.zones().tlsa(host) = Tlsa::kGood; });
                      }});
  }
  kinds_.push_back({"unsigned zone", [this] {
                      Zones& zones = cluster_.hosts.zones();
                      const bool domain = random().Chance(0.5);
                      const int number = static_cast<int>(random().Below(domain ? kDomains : kHosts));
                      const auto set = [&zones, domain, number](bool value) {
                        if (domain) {
                          zones.unsigned_domain(number) = value;
                        } else {
                          zones.unsigned_host(number) = value;
                        }
                      };
                      set(true);
                      For(Some(1, 40), [set] { set(false); });
                    }});
  kinds_.push_back({"REQUIRETLS away", [this] {
                      HostFaults& faults = cluster_.hosts.faults(static_cast<int>(random().Below(kHosts)));
                      faults.hides_require_tls = true;
                      For(Some(1, 40), [&faults] { faults.hides_require_tls = false; });
                    }});
  const bool ailing = random().Chance(0.3);
  for (int host = 0; host < kHosts; ++host) {
    if (ailing && HasTlsa(host) && random().Chance(0.4)) StrikeTlsa(host);
  }
}

int Faults::AnyHostWithTlsa() {
  while (true) {
    const int host = static_cast<int>(random().Below(kHosts));
    if (HasTlsa(host)) return host;
  }
}

void Faults::StrikeTlsa(int host) {
  cluster_.hosts.zones().tlsa(host) = static_cast<Tlsa>(random().Below(static_cast<std::uint64_t>(Tlsa::kCount)));
  if (random().Chance(0.3)) cluster_.hosts.faults(host).tls = HostFaults::kSelfSigned;
}

void Faults::StrikeTls(HostFaults& faults) {
  faults.tls = random().Chance(0.3) ? HostFaults::kGarbage
                                    : static_cast<HostFaults::Tls>(1 + random().Below(HostFaults::kTlsCount - 1));
}

void Faults::StrikePolicyHost(int domain) {
  cluster_.hosts.policy_hosts().fault(domain) =
      static_cast<PolicyFault>(random().Below(static_cast<std::uint64_t>(PolicyFault::kCount)));
}

// A key that is named and is not there: mail waits for it. And a rotation, in which one key signs, the other, or both.
void Faults::AddSigningFaults() {
  const auto set = [this](std::vector<std::string> selectors) {
    for (const auto& worker : cluster_.workers) worker->SetSelectors(selectors);
  };
  kinds_.push_back({"DKIM key away", [this, set] {
                      set({random().Chance(0.5) ? "gone" : kSelector, "gone"});
                      For(Some(1, 20), [set] { set({kSelector}); });
                    }});
  kinds_.push_back({"DKIM rotation", [this, set] {
                      set(random().Chance(0.5) ? std::vector<std::string>{kSelector, kOtherSelector}
                                               : std::vector<std::string>{kOtherSelector});
                      For(Some(1, 20), [set] { set({kSelector}); });
                    }});
}

void Faults::AddOperatorFaults() {
  const auto domain = [this] { return DomainName(static_cast<int>(random().Below(kDomains))); };
  kinds_.push_back({"suspend", [this, domain] {
                      const std::string name = domain();
                      for (const auto& shard : cluster_.shards) {
                        if (!shard->up()) continue;
                        v1::SuspendRequest suspend;
                        suspend.set_domain(name);
                        shard->life()->shard->Suspend(suspend, [](const auto&) {});
                      }
                      For(Some(1, 20), [this, name] {
                        for (const auto& shard : cluster_.shards) {
                          if (!shard->up()) continue;
                          v1::ResumeRequest resume;
                          resume.set_domain(name);
                          shard->life()->shard->Resume(resume, [](const auto&) {});
                        }
                      });
                    }});
  kinds_.push_back({"flush", [this] {
                      ShardNode& shard = AnyShard();
                      if (shard.up()) shard.life()->shard->Flush({}, [](const auto&) {});
                    }});
  kinds_.push_back({"reports on TLS now", [this, domain] {
                      ShardNode& shard = AnyShard();
                      if (!shard.up()) return;
                      v1::SendTlsReportsRequest wish;
                      if (random().Chance(0.5)) wish.set_domain(domain());
                      wish.set_ended_days_only(random().Chance(0.3));
                      cluster_.books.tls_reports().NoteWish();
                      shard.life()->shard->SendTlsReports(wish, [](const auto&) {});
                    }});
  kinds_.push_back({"purge", [this, domain] {
                      ShardNode& shard = AnyShard();
                      if (!shard.up()) return;
                      v1::PurgeRequest purge;
                      purge.set_domain(domain());
                      const auto end = [this, number = cluster_.books.NotePurge(shard.index(), purge.domain())] {
                        cluster_.books.NotePurgeEnd(number);
                      };
                      shard.life()->at_end.push_back(end);
                      shard.life()->shard->Purge(purge, [end](const auto&) { end(); });
                    }});
}

void Faults::Heal() {
  healed_ = true;
  cluster_.world.Trace("all is healed");
  cluster_.hosts.HealAll();
  const auto heal = [](const Links& links) {
    for (const auto& link : links) link->Heal();
  };
  for (const auto& shard : cluster_.shards) {
    SimDisk& disk = shard->disk;
    disk.failing_writes = disk.failing_reads = disk.crashing_writes = disk.sick = 0;
    disk.full = false;
    shard->slow_commits = 0;
    const absl::Duration next_jump = clock_set_[shard->index()] + kBetweenJumps;
    cluster_.world.After(next_jump - cluster_.world.now(), [raw = shard.get()] { raw->clock.offset = {}; });
    shard->Start();
  }
  for (const auto& worker : cluster_.workers) {
    worker->clock.offset = absl::ZeroDuration();
    worker->SetSelectors({kSelector});
    worker->Start();
    heal(worker->links());
  }
  for (const auto& front_end : cluster_.front_ends) {
    front_end->clock.offset = absl::ZeroDuration();
    front_end->Start();
    heal(front_end->links());
  }
  ResumeAll(3);
}

// Who suspended a domain resumes it, on every shard and as often as it takes: a shard may be down at this moment.
void Faults::ResumeAll(int times) {
  for (const auto& shard : cluster_.shards) {
    for (int i = 0; i < kDomains; ++i) {
      v1::ResumeRequest resume;
      resume.set_domain(DomainName(i));
      if (shard->up()) shard->life()->shard->Resume(resume, [](const auto&) {});
    }
  }
  if (times == 0) return;
  cluster_.world.After(absl::Seconds(12), [this, times] { ResumeAll(times - 1); });
}

}  // namespace hikyaku::sim
