#include "lib/mime/submitted.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/mailbox.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"
#include "lib/mime/tls_required.h"

namespace hikyaku::mime {
namespace {

const char* Find(const char* from, const char* end, char c) {
  const void* found = std::memchr(from, c, end - from);
  return found == nullptr ? end : static_cast<const char*>(found);
}

// Only CRLF ends a line, and no other CR or LF may stand anywhere: a host that takes one for a line end would see other
// lines than we do, and a line of a dot among them would be SMTP smuggling. The last line may lack its CRLF. No NUL for
// the same reason: a host that drops it sees a line of a dot in `\0.`.
absl::Status CheckLines(absl::string_view message) {
  if (message.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("the message holds a NUL; encode the part that does as base64");
  }
  const char* at = message.data();
  const char* const end = at + message.size();
  for (std::size_t line = 1; at < end; ++line) {
    const char* cr = Find(at, end, '\r');
    if (Find(at, cr, '\n') != cr) {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, " ends with a bare LF; only CRLF may end a line"));
    }
    if (static_cast<std::size_t>(cr - at) > kMaxLine) {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, " is longer than ", kMaxLine,
                                                     " characters (RFC 5322 section 2.1.1); encode the text as "
                                                     "quoted-printable or base64"));
    }
    if (cr == end) break;
    if (cr + 1 == end || cr[1] != '\n') {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, " holds a bare CR; only CRLF may end a line"));
    }
    at = cr + 2;
  }
  return absl::OkStatus();
}

// A field that says nothing is one that is missing.
bool IsEmptyOf(const HeaderField& field, const char* name) { return field.Is(name) && TrimBlanks(field.value).empty(); }

const HeaderField* FindFilled(const HeaderFields& header, const char* name) {
  const HeaderField* field = header.Find(name);
  return field == nullptr || IsEmptyOf(*field, name) ? nullptr : field;
}

// Fields that must not travel: blind recipients, the envelope sender, which the final host writes (RFC 5321 §4.4), and
// the empty ones that make room for ours.
bool IsRemoved(const HeaderField& field) {
  return field.Is("Bcc") || field.Is("Resent-Bcc") || field.Is("Return-Path") || IsEmptyOf(field, "Date") ||
         IsEmptyOf(field, "Message-ID");
}

// Of two, each reader believes another one: what is shown is not what was checked or signed. Large receivers refuse
// such mail. From has its own words below.
absl::Status CheckOnceOnly(const HeaderFields& header) {
  constexpr absl::string_view kOnce[] = {"Date",    "Sender",       "Reply-To",     "To",
                                         "Cc",      "Message-ID",   "In-Reply-To",  "References",
                                         "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"};
  for (const absl::string_view name : kOnce) {
    if (header.Count(name) < 2) continue;
    return absl::InvalidArgumentError(absl::StrCat("the header has more than one ", name,
                                                   " field; it may stand there once (RFC 5322 section 3.6, RFC 2045)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<address::Address>> ReadFrom(const HeaderFields& header) {
  const std::size_t count = header.Count("From");
  if (count != 1) {
    return absl::InvalidArgumentError(count == 0 ? "the header has no From field"
                                                 : "the header has more than one From field");
  }
  const absl::StatusOr<std::vector<address::Mailbox>> mailboxes = address::ParseMailboxList(header.Find("From")->value);
  if (!mailboxes.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("the From field cannot be read: ", mailboxes.status().message()));
  }
  if (mailboxes->empty()) return absl::InvalidArgumentError("the From field has no address");
  std::vector<address::Address> addresses;
  addresses.reserve(mailboxes->size());
  for (const address::Mailbox& mailbox : *mailboxes) addresses.push_back(mailbox.address);
  return addresses;
}

// Moves the fields that stay to the front and closes the gap behind them, so that the body moves once at most, however
// many fields go. Returns the size of the header that is left.
std::size_t RemoveFields(const HeaderFields& header, std::string* message) {
  const std::size_t old_size = header.header().size();
  if (std::none_of(header.fields().begin(), header.fields().end(), IsRemoved)) return old_size;
  std::size_t kept = 0;
  for (const HeaderField& field : header.fields()) {
    if (IsRemoved(field)) continue;
    std::memmove(message->data() + kept, field.raw.data(), field.raw.size());
    kept += field.raw.size();
  }
  message->erase(kept, old_size - kept);
  return kept;
}

}  // namespace

std::string Prepared::Assemble() && {
  if (head.empty()) return std::move(body);
  head.append(body);
  return std::move(head);
}

absl::StatusOr<Prepared> PrepareSubmitted(std::string message, const SubmitOptions& options) {
  HIKYAKU_CHECK(options.received.empty() || absl::EndsWith(options.received, "\r\n"));
  RETURN_IF_ERROR(CheckLines(message));
  if (!absl::EndsWith(message, "\r\n")) message.append("\r\n");
  ASSIGN_OR_RETURN(const HeaderFields header, HeaderFields::Parse(message));
  if (header.Count("Received") >= static_cast<std::size_t>(options.max_received)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the message has passed ", header.Count("Received"), " hosts: a mail loop"));
  }
  if (!IsAscii(header.header()) && !IsValidUtf8(header.header())) {
    return absl::InvalidArgumentError("the header holds 8-bit text that is not UTF-8");
  }

  RETURN_IF_ERROR(CheckOnceOnly(header));

  Prepared prepared;
  ASSIGN_OR_RETURN(prepared.from_addresses, ReadFrom(header));
  prepared.head = options.received;
  if (FindFilled(header, "Date") == nullptr && !options.date.empty()) {
    absl::StrAppend(&prepared.head, "Date: ", options.date, "\r\n");
  }
  if (const HeaderField* id = FindFilled(header, "Message-ID")) {
    prepared.message_id = id->Unfolded();
    if (prepared.message_id.size() > kMaxLine) prepared.message_id.clear();
  } else if (!options.message_id.empty()) {
    prepared.message_id = options.message_id;
    absl::StrAppend(&prepared.head, "Message-ID: ", options.message_id, "\r\n");
  }

  prepared.waives_tls = WaivesTls(header);
  const std::size_t header_size = RemoveFields(header, &message);  // From here on `header` is stale.
  prepared.body = std::move(message);
  const absl::string_view body = prepared.body;
  prepared.needs_smtputf8 = !IsAscii(body.substr(0, header_size)) || !IsAscii(prepared.head);
  prepared.has_8bit = prepared.needs_smtputf8 || !IsAscii(body.substr(header_size));
  return prepared;
}

}  // namespace hikyaku::mime
