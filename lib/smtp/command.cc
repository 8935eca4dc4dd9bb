#include "lib/smtp/command.h"

#include <algorithm>
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

constexpr struct {
  absl::string_view name;
  std::optional<Reply> (*take)(const Parameter&, MailCommand*);
} kMailParameters[] = {{"SIZE", TakeSize}, {"BODY", TakeBody}, {"SMTPUTF8", TakeSmtpUtf8}};

std::optional<Reply> TakeMailParameters(absl::string_view text, MailCommand* mail) {
  unsigned seen = 0;
  for (absl::string_view word = TakeWord(&text); !word.empty(); word = TakeWord(&text)) {
    const Parameter parameter = SplitParameter(word);
    const auto* known = std::find_if(std::begin(kMailParameters), std::end(kMailParameters), [&](const auto& entry) {
      return absl::EqualsIgnoreCase(parameter.name, entry.name);
    });
    if (known == std::end(kMailParameters)) return Reply{555, "5.5.4", "Unknown parameter of MAIL"};
    const unsigned bit = 1u << (known - std::begin(kMailParameters));
    if (seen & bit) return BadParameter(absl::StrCat(known->name, " twice"));
    seen |= bit;
    if (auto refusal = known->take(parameter, mail)) return refusal;
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
  if (auto refusal = TakeMailParameters(path->rest, &mail)) return *std::move(refusal);
  if (!mail.smtputf8 && !IsAscii(Inner(args, path->rest))) return NeedsSmtpUtf8();
  return mail;
}

std::variant<RcptCommand, Reply> ParseRcpt(absl::string_view args, bool smtputf8) {
  if (!TakeKeyword("TO:", &args)) return Reply{501, "5.5.4", "Syntax: RCPT TO:<address>"};
  const absl::StatusOr<address::Path> path = address::ParsePath(args, {.allow_postmaster = true});
  if (!path.ok()) return BadAddress("5.1.3", path.status());
  if (!Trim(path->rest).empty()) return Reply{555, "5.5.4", "RCPT takes no parameters here"};
  const absl::string_view original = Inner(args, path->rest);
  if (!smtputf8 && !IsAscii(original)) return NeedsSmtpUtf8();
  return RcptCommand{path->address, path->bare_postmaster, std::string(original)};
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
