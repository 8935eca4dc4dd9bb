// How long a client waits at each step of the dialogue.
//
// Source:     RFC 5321 §4.5.3.2, where each minimum is named. The five without one are ours.
// Threading:  plain values.
#ifndef HIKYAKU_LIB_SMTP_CLIENT_TIMEOUTS_H_
#define HIKYAKU_LIB_SMTP_CLIENT_TIMEOUTS_H_

#include "absl/time/time.h"
#include "lib/smtp/client_session.h"

namespace hikyaku::smtp {

struct ClientTimeouts {
  absl::Duration connect = absl::Seconds(30);  // TCP; no minimum in the RFC.
  absl::Duration greeting = absl::Minutes(5);  // §4.5.3.2.1.
  absl::Duration hello = absl::Minutes(5);     // EHLO and HELO; no minimum in the RFC, as MAIL.
  absl::Duration tls = absl::Minutes(1);       // STARTTLS, and then the handshake; no minimum in the RFCs.
  absl::Duration mail = absl::Minutes(5);      // §4.5.3.2.2.
  absl::Duration rcpt = absl::Minutes(5);      // §4.5.3.2.3.
  absl::Duration data = absl::Minutes(2);      // §4.5.3.2.4.
  absl::Duration block = absl::Minutes(3);     // §4.5.3.2.5: for each write of a part of the body.
  absl::Duration dot = absl::Minutes(10);      // §4.5.3.2.6: a short limit here makes duplicates.
  absl::Duration rset = absl::Seconds(20);     // Nothing is lost by giving up on it.
  absl::Duration quit = absl::Seconds(5);      // Nothing depends on its answer.

  // The limit at `step` for one whole reply, or one whole write: not renewed by what moves meanwhile.
  absl::Duration For(Step step) const {
    switch (step) {
      case Step::kGreeting: return greeting;
      case Step::kHello: return hello;
      case Step::kStartTls: return tls;
      case Step::kAuth: return hello;
      case Step::kMail: return mail;
      case Step::kRcpt: return rcpt;
      case Step::kData: return data;
      case Step::kBody: return block;
      case Step::kDot: return dot;
      case Step::kRset: return rset;
      case Step::kQuit: return quit;
    }
    return quit;
  }
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_CLIENT_TIMEOUTS_H_
