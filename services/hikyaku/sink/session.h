// The server's side of SMTP in the test receiver. It shares its grammar with lib/smtp but not its session: what it does
// wrong on purpose (rules.h), what it does not offer, and what it notes about its client have no place in a real
// server.
//
// Source:     RFC 5321, 1870, 2920, 3030, 3207, 6152, 6531.
// Threading:  one owner, the coroutine of the connection. Pure, but for the deliver function.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SINK_SESSION_H_
#define HIKYAKU_SERVICES_HIKYAKU_SINK_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/address/address.h"
#include "lib/net/endpoint.h"
#include "lib/smtp/command.h"
#include "lib/smtp/dot_reader.h"
#include "lib/smtp/reply.h"
#include "services/hikyaku/sink/rules.h"

namespace hikyaku::sink {

struct SessionOptions {
  std::string hostname = "sink.test";
  std::uint64_t max_size = 100 << 20;
  std::size_t max_recipients = 1000;
  bool eight_bit = true;
  bool chunking = true;
  bool pipelining = true;
  bool smtputf8 = true;
  bool starttls = false;
};

struct Mail {
  std::string helo;
  bool esmtp = false;
  address::Address sender;
  std::vector<address::Address> recipients;
  bool eight_bit = false;  // BODY=8BITMIME.
  bool smtputf8 = false;
  bool chunked = false;  // It came by BDAT.
  std::string tls;       // "TLSv1.3 TLS_AES_128_GCM_SHA256"; empty: in the clear.
  std::string data;
  // What the client should not have done, by name: bare-cr, bare-lf, nul, long-line (RFC 5321 §4.5.3.1.6), 8bit (not
  // declared), pipelining (not offered).
  std::set<std::string> faults;
};

class Session {
 public:
  // What the connection does next: wait for `delay`; then drop, or write `output` and, when `close`, end.
  struct Step {
    absl::Duration delay;
    bool drop = false;
    bool close = false;
    bool starttls = false;  // After the output comes the handshake, then Secured. Nothing read before it counts.
    std::string output;
  };

  // Keeps the mail; false when it cannot (451).
  using Deliver = std::function<bool(const Mail&)>;

  static constexpr std::size_t kMaxLine = 4096;  // Of a command; a longer one ends the connection.

  // `rules` outlives the session.
  Session(SessionOptions options, Rules* rules, net::Endpoint local, Deliver deliver);

  Step Start();

  // Takes from the front of `in` what makes one step, or all of it (then the step is empty).
  Step Take(absl::string_view* in);

  // TLS is spoken from now on; what the client said before is forgotten (RFC 3207 §4.2).
  void Secured(std::string tls);

  std::uint64_t refused() const { return refused_; }  // Replies 4xx and 5xx.

 private:
  enum class State { kStart, kReady, kMail, kBody };

  Step TakeData(absl::string_view* in);
  Step TakeChunk(absl::string_view* in);
  Step Command(absl::string_view line, bool more);
  Step Hello(const smtp::Command& command);
  Step MailFrom(const smtp::Command& command);
  Step RcptTo(const smtp::Command& command);
  Step Data();
  Step Bdat(const smtp::Command& command);
  Step StartTls(bool more);
  Step Finish();

  Step Say(const smtp::Reply& reply);
  // The scripted answer, or `usual`; true when it is the usual one.
  bool Scripted(Stage stage, const std::vector<address::Address>& recipients, const smtp::Reply& usual, Step* step);
  void Reset();
  void NoteFaults();

  const SessionOptions options_;
  Rules* const rules_;
  const net::Endpoint local_;
  const Deliver deliver_;

  State state_ = State::kStart;
  std::string line_;
  Mail mail_;
  std::uint64_t refused_ = 0;

  smtp::DotReader dots_{0};
  bool too_large_ = false;
  std::uint64_t chunk_left_ = 0;
  bool in_chunk_ = false;
  bool chunk_last_ = false;
  Step chunk_answer_;       // Of the present chunk, when it is not the usual one.
  bool chunk_bad_ = false;  // Its octets are dropped.
};

}  // namespace hikyaku::sink

#endif  // HIKYAKU_SERVICES_HIKYAKU_SINK_SESSION_H_
