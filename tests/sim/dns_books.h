// What the DNS told each worker of the way to the hosts: an attempt did as one of these answers says.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_DNS_BOOKS_H_
#define HIKYAKU_TESTS_SIM_DNS_BOOKS_H_

#include <set>
#include <vector>

#include "absl/time/time.h"
#include "tests/sim/world.h"
#include "tests/sim/zones.h"

namespace hikyaku::sim {

// Answers to one worker, of one domain and one of its hosts: each is there that was given.
struct Told {
  bool mx_proved = false, mx_unproved = false;
  bool address_proved = false, address_unproved = false;
  std::set<Tlsa> tlsa;
};

class DnsBooks {
 public:
  explicit DnsBooks(const World& world) : world_(world) {}

  void NoteMx(int worker, int domain, bool proved) { Note({worker, kMx, domain, proved}); }
  void NoteAddress(int worker, int host, bool proved) { Note({worker, kAddress, host, proved}); }
  void NoteTlsa(int worker, int host, Tlsa answer) { Note({worker, kTlsa, host, false, answer}); }

  // What would be said now.
  void NoteZones(const Zones* zones) { zones_ = zones; }
  Told Now(int domain, int host) const;

  // What was said since `since`.
  Told Since(absl::Duration since, int worker, int domain, int host) const;

 private:
  enum Kind { kMx, kAddress, kTlsa };
  struct Answer {
    int worker;
    Kind kind;
    int of;  // The number of the domain, or of the host.
    bool proved;
    Tlsa tlsa = Tlsa::kNone;
    absl::Duration time = {};
  };
  void Note(Answer answer);

  const World& world_;
  const Zones* zones_ = nullptr;
  std::vector<Answer> answers_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_DNS_BOOKS_H_
