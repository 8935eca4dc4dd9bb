#include "lib/smtp/command.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/address/address.h"
#include "lib/dsn/options.h"
#include "lib/smtp/reply.h"

namespace hikyaku::smtp {
namespace {

constexpr struct {
  absl::string_view name;
  Verb verb;
} kVerbs[] = {
    {"MAIL", Verb::kMail}, {"RCPT", Verb::kRcpt},         {"DATA", Verb::kData}, {"BDAT", Verb::kBdat},
    {"EHLO", Verb::kEhlo}, {"HELO", Verb::kHelo},         {"RSET", Verb::kRset}, {"NOOP", Verb::kNoop},
    {"QUIT", Verb::kQuit}, {"VRFY", Verb::kVrfy},         {"EXPN", Verb::kExpn}, {"HELP", Verb::kHelp},
    {"AUTH", Verb::kAuth}, {"STARTTLS", Verb::kStartTls},
};

bool IsControl(char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t'; }
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

absl::string_view Trim(absl::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// The next word of `text`, taken from its front; empty at its end.
absl::string_view TakeWord(absl::string_view* text) {
  *text = Trim(*text);
  const absl::string_view word = text->substr(0, std::find_if(text->begin(), text->end(), IsBlank) - text->begin());
  text->remove_prefix(word.size());
  return word;
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// 1..20 digits (RFC 1870 §3, RFC 3030 §2), no sign and no blank. `too_large` tells digits that do not fit.
std::optional<std::uint64_t> Number(absl::string_view text, bool* too_large) {
  *too_large = false;
  if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit)) return std::nullopt;
  std::uint64_t value = 0;
  *too_large = !absl::SimpleAtoi(text, &value);
  return *too_large ? std::nullopt : std::optional(value);
}

Reply BadParameter(absl::string_view what) { return {501, "5.5.4", absl::StrCat("Bad parameter: ", what)}; }

struct Parameter {
  absl::string_view name;
  absl::string_view value;
  bool has_value = false;
};

Parameter SplitParameter(absl::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == absl::string_view::npos) return {word, "", false};
  return {word.substr(0, equals), word.substr(equals + 1), true};
}

std::optional<Reply> TakeSize(const Parameter& parameter, MailCommand* mail) {
  bool too_large = false;
  const std::optional<std::uint64_t> size = Number(parameter.value, &too_large);
  if (!size.has_value()) return BadParameter("SIZE");
  mail->size = *size;
  return std::nullopt;
}

std::optional<Reply> TakeBody(const Parameter& parameter, MailCommand* mail) {
  mail->eight_bit = absl::EqualsIgnoreCase(parameter.value, "8BITMIME");
  if (mail->eight_bit || absl::EqualsIgnoreCase(parameter.value, "7BIT")) return std::nullopt;
  return BadParameter("BODY");
}

std::optional<Reply> TakeSmtpUtf8(const Parameter& parameter, MailCommand* mail) {
  if (parameter.has_value) return BadParameter("SMTPUTF8");
  mail->smtputf8 = true;
  return std::nullopt;
}

std::optional<Reply> TakeReturned(const Parameter& parameter, MailCommand* mail) {
  const std::optional<dsn::Returned> returned = dsn::ParseReturned(parameter.value);
  if (!returned.has_value()) return BadParameter("RET");
  mail->returned = *returned;
  return std::nullopt;
}

std::optional<Reply> TakeEnvelopeId(const Parameter& parameter, MailCommand* mail) {
  if (!dsn::IsEnvelopeId(parameter.value)) return BadParameter("ENVID");
  mail->envelope_id = std::string(parameter.value);
  return std::nullopt;
}

std::optional<Reply> TakeNotify(const Parameter& parameter, RcptCommand* rcpt) {
  const std::optional<std::uint32_t> notify = dsn::ParseNotify(parameter.value);
  if (!notify.has_value()) return BadParameter("NOTIFY");
  rcpt->notify = *notify;
  return std::nullopt;
}

// Whether SMTPUTF8 was said decides ParseRcpt, with the whole line.
std::optional<Reply> TakeOriginalRecipient(const Parameter& parameter, RcptCommand* rcpt) {
  std::optional<std::string> kept = dsn::ParseOriginalRecipient(parameter.value, /*utf8=*/true);
  if (!kept.has_value()) return BadParameter("ORCPT");
  rcpt->original_recipient = *std::move(kept);
  return std::nullopt;
}

template <typename Into>
struct KnownParameter {
  absl::string_view name;
  std::optional<Reply> (*take)(const Parameter&, Into*);
};
constexpr KnownParameter<MailCommand> kMailParameters[] = {{"SIZE", TakeSize},
                                                           {"BODY", TakeBody},
                                                           {"SMTPUTF8", TakeSmtpUtf8},
                                                           {"RET", TakeReturned},
                                                           {"ENVID", TakeEnvelopeId}};
constexpr KnownParameter<RcptCommand> kRcptParameters[] = {{"NOTIFY", TakeNotify}, {"ORCPT", TakeOriginalRecipient}};

template <typename Into, std::size_t kCount>
std::optional<Reply> TakeParameters(absl::string_view text, const KnownParameter<Into> (&all)[kCount],
                                    absl::string_view verb, Into* into) {
  unsigned seen = 0;
  for (absl::string_view word = TakeWord(&text); !word.empty(); word = TakeWord(&text)) {
    const Parameter parameter = SplitParameter(word);
    const auto* known = std::find_if(std::begin(all), std::end(all), [&](const auto& entry) {
      return absl::EqualsIgnoreCase(parameter.name, entry.name);
    });
    if (known == std::end(all)) return Reply{555, "5.5.4", absl::StrCat("Unknown parameter of ", verb)};
    const unsigned bit = 1u << (known - std::begin(all));
    if (seen & bit) return BadParameter(absl::StrCat(known->name, " twice"));
    seen |= bit;
    if (auto refusal = known->take(parameter, into)) return refusal;
  }
  return std::nullopt;
}

// Takes `keyword` and a colon from the front of `args`, and blanks behind it, which many clients send.
bool TakeKeyword(absl::string_view keyword, absl::string_view* args) {
  if (!absl::StartsWithIgnoreCase(*args, keyword)) return false;
  args->remove_prefix(keyword.size());
  *args = Trim(*args);
  return absl::StartsWith(*args, "<");
}

// The path without its brackets, as the client wrote it.
absl::string_view Inner(absl::string_view args, absl::string_view rest) {
  const absl::string_view path = args.substr(0, args.size() - rest.size());
  return path.substr(1, path.size() - 2);
}

Reply BadAddress(absl::string_view enhanced, const absl::Status& why) {
  return {501, std::string(enhanced), Printable(absl::StrCat("Bad address: ", absl::string_view(why.message())), 200)};
}

Reply NeedsSmtpUtf8() { return {553, "5.6.7", "An address beyond ASCII needs SMTPUTF8"}; }

}  // namespace

Command ParseCommand(absl::string_view line) {
  if (std::any_of(line.begin(), line.end(), IsControl)) return {};
  absl::string_view args = line;
  const absl::string_view word = line.empty() || IsBlank(line.front()) ? "" : TakeWord(&args);
  for (const auto& entry : kVerbs) {
    if (absl::EqualsIgnoreCase(word, entry.name)) return {entry.verb, Trim(args)};
  }
  return {};
}

std::variant<MailCommand, Reply> ParseMail(absl::string_view args) {
  if (!TakeKeyword("FROM:", &args)) return Reply{501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]"};
  const absl::StatusOr<address::Path> path = address::ParsePath(args, {.allow_null = true});
  if (!path.ok()) return BadAddress("5.1.7", path.status());
  MailCommand mail;
  mail.sender = path->address;
  if (auto refusal = TakeParameters(path->rest, kMailParameters, "MAIL", &mail)) return *std::move(refusal);
  if (!mail.smtputf8 && !IsAscii(Inner(args, path->rest))) return NeedsSmtpUtf8();
  return mail;
}

std::variant<RcptCommand, Reply> ParseRcpt(absl::string_view args, bool smtputf8) {
  if (!TakeKeyword("TO:", &args)) return Reply{501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]"};
  const absl::StatusOr<address::Path> path = address::ParsePath(args, {.allow_postmaster = true});
  if (!path.ok()) return BadAddress("5.1.3", path.status());
  RcptCommand rcpt;
  rcpt.recipient = path->address;
  rcpt.bare_postmaster = path->bare_postmaster;
  rcpt.original = std::string(Inner(args, path->rest));
  if (auto refusal = TakeParameters(path->rest, kRcptParameters, "RCPT", &rcpt)) return *std::move(refusal);
  if (!smtputf8 && !IsAscii(args)) return NeedsSmtpUtf8();
  return rcpt;
}

std::variant<BdatCommand, Reply> ParseBdat(absl::string_view args) {
  const absl::string_view number = TakeWord(&args);
  const absl::string_view last = TakeWord(&args);
  bool too_large = false;
  const std::optional<std::uint64_t> size = Number(number, &too_large);
  if (too_large) return Reply{552, "5.3.4", "Chunk too large"};
  if (!size.has_value() || !Trim(args).empty() || (!last.empty() && !absl::EqualsIgnoreCase(last, "LAST"))) {
    return Reply{501, "5.5.4", "Syntax: BDAT size [LAST]"};
  }
  return BdatCommand{*size, !last.empty()};
}

}  // namespace hikyaku::smtp
