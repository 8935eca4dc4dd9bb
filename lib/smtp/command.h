// One SMTP command line as a value.
//
// Source:     RFC 5321 §2.4 (case, blanks), §4.1.1 (commands), §4.1.2 (parameters); RFC 1870, 6152, 6531, 3030, 3461.
// Non-goals:  whether a command is allowed now (server_session); the grammar of addresses (lib/address).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_SMTP_COMMAND_H_
#define HIKYAKU_LIB_SMTP_COMMAND_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "lib/address/address.h"
#include "lib/dsn/options.h"
#include "lib/smtp/reply.h"

namespace hikyaku::smtp {

enum class Verb {
  kUnknown,
  kEhlo,
  kHelo,
  kMail,
  kRcpt,
  kData,
  kBdat,
  kRset,
  kNoop,
  kVrfy,
  kExpn,
  kHelp,
  kQuit,
  kAuth,
  kStartTls,
};

struct Command {
  Verb verb = Verb::kUnknown;
  absl::string_view args;  // Without blanks at either end. Points into the line.
};

// `line` is without its CRLF. A line with a CR, LF, NUL or other control than TAB is kUnknown: nothing of it is run.
Command ParseCommand(absl::string_view line);

struct MailCommand {
  address::Address sender;
  std::uint64_t size = 0;  // 0 when SIZE is absent.
  bool eight_bit = false;
  bool smtputf8 = false;
  dsn::Returned returned = dsn::Returned::kUnspecified;  // RET.
  std::string envelope_id;                               // ENVID as xtext; empty when absent.
};

struct RcptCommand {
  address::Address recipient;
  bool bare_postmaster = false;
  std::string original;            // The path as written, without `<>`.
  std::uint32_t notify = 0;        // NOTIFY (lib/dsn/options.h); 0 when absent.
  std::string original_recipient;  // ORCPT as dsn::ParseOriginalRecipient keeps it; empty when absent.
};

struct BdatCommand {
  std::uint64_t size = 0;
  bool last = false;
};

// The arguments of each, or the reply that refuses them:
//   501 5.5.4  Not this command's form; a parameter twice or with a bad value; 501 5.1.7/5.1.3 a bad address.
//   553 5.6.7  An address beyond ASCII, and SMTPUTF8 was not said.
//   555 5.5.4  An unknown parameter.
std::variant<MailCommand, Reply> ParseMail(absl::string_view args);
std::variant<RcptCommand, Reply> ParseRcpt(absl::string_view args, bool smtputf8);

// 501 for what is no chunk size (session goes on: nothing can follow it); 552 5.3.4 for a size beyond 64 bits, after
// which the caller closes: the octets that follow cannot be told from commands.
std::variant<BdatCommand, Reply> ParseBdat(absl::string_view args);

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_COMMAND_H_
