#include "lib/submission/assemble.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/random.h"
#include "lib/base/status_macros.h"
#include "lib/mime/builder.h"
#include "lib/mime/encoding.h"
#include "lib/mime/submitted.h"
#include "lib/mime/text.h"
#include "lib/mime/tls_required.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

constexpr std::size_t kBoundaryBytes = 16;  // 128 bits: no content can hold it by guess.

std::string MessageIdFor(const MessageId& id, absl::string_view hostname) {
  return absl::StrCat("<", id.text(), "@", hostname, ">");
}

std::string WithoutBrackets(absl::string_view message_id) {
  absl::ConsumePrefix(&message_id, "<");
  absl::ConsumeSuffix(&message_id, ">");
  return std::string(message_id);
}

absl::Status TooLarge(std::size_t size, std::uint64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the message is ", size, " bytes long, at most ", limit, " are accepted"));
}

absl::StatusOr<Assembled> Build(const Submission& submission, const MessageId& id, const AssembleOptions& options) {
  mime::MessageParts parts = *submission.parts;
  parts.date = id.time();
  parts.message_id = MessageIdFor(id, options.hostname);
  parts.boundary_token = [] { return RandomHex(kBoundaryBytes); };
  auto message = mime::BuildMessage(parts);
  if (!message.ok()) {
    const auto [path, description] = mime::SplitFieldError(message.status());
    if (path.empty()) return message.status();
    return FieldFailure(absl::StatusCode::kInvalidArgument, {{absl::StrCat("content.", path), description}});
  }
  if (message->size() > options.max_size) return TooLarge(message->size(), options.max_size);
  Assembled assembled;
  assembled.message_id_header = WithoutBrackets(parts.message_id);
  assembled.smtputf8 = assembled.eight_bit = !mime::IsAscii(*message);
  assembled.waives_tls = mime::WaivesTls(parts.headers);
  assembled.bytes = *std::move(message);
  assembled.bytes.insert(0, ReceivedByRpc(id, options.hostname));
  return assembled;
}

absl::StatusOr<Assembled> Prepare(std::string message, std::string received, const MessageId& id,
                                  const AssembleOptions& options) {
  mime::SubmitOptions submit;
  submit.received = std::move(received);
  submit.date = mime::FormatDate(id.time());
  submit.message_id = MessageIdFor(id, options.hostname);
  submit.max_received = options.max_hops;
  ASSIGN_OR_RETURN(mime::Prepared prepared, mime::PrepareSubmitted(std::move(message), submit));
  Assembled assembled;
  assembled.message_id_header = WithoutBrackets(prepared.message_id);
  assembled.eight_bit = prepared.has_8bit;
  assembled.smtputf8 = prepared.needs_smtputf8;
  assembled.waives_tls = prepared.waives_tls;
  assembled.bytes = std::move(prepared).Assemble();
  return assembled;
}

absl::StatusOr<Assembled> Complete(const std::string& raw, const MessageId& id, const AssembleOptions& options) {
  if (raw.size() > options.max_size) return TooLarge(raw.size(), options.max_size);  // It only grows.
  // LF alone is how files on disk look; one CR anywhere says that the caller means CRLF, and then every line must have
  // it.
  const bool lf_only = raw.find('\r') == std::string::npos;
  std::string message = lf_only ? mime::NormalizeNewlines(raw) : raw;
  if (message.size() > options.max_size) return TooLarge(message.size(), options.max_size);
  auto prepared = Prepare(std::move(message), ReceivedByRpc(id, options.hostname), id, options);
  if (prepared.ok()) return prepared;
  const bool loops = prepared.status().code() == absl::StatusCode::kFailedPrecondition;
  return FieldFailure(absl::StatusCode::kInvalidArgument,
                      {{"raw.data", absl::StrCat(loops ? "5.4.6 " : "", prepared.status().message())}});
}

// What may stand in Received as the client called itself: a host name as hosts have them, or an address literal.
bool IsPlainHello(absl::string_view helo) {
  if (address::ParseAddressLiteral(helo).ok()) return true;
  return !helo.empty() && std::all_of(helo.begin(), helo.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
}

absl::string_view Protocol(const smtp::Transaction& transaction) {
  if (transaction.smtputf8) return "UTF8SMTP";  // RFC 6531 §3.7.3.
  return transaction.esmtp ? "ESMTP" : "SMTP";
}

}  // namespace

absl::StatusOr<Assembled> Assemble(const Submission& submission, const MessageId& id, const AssembleOptions& options) {
  return submission.parts.has_value() ? Build(submission, id, options) : Complete(*submission.raw, id, options);
}

absl::StatusOr<Assembled> AssembleReceived(smtp::Transaction& transaction, const address::IpAddress& client,
                                           const MessageId& id, const AssembleOptions& options) {
  return Prepare(std::move(transaction.data), ReceivedBySmtp(transaction, client, id, options.hostname), id, options);
}

std::string ReceivedBySmtp(const smtp::Transaction& transaction, const address::IpAddress& client, const MessageId& id,
                           absl::string_view hostname) {
  const absl::string_view helo =
      IsPlainHello(transaction.helo) ? absl::string_view(transaction.helo) : absl::string_view("unknown");
  std::string field = absl::StrCat("Received: from ", helo, " (", client.Unmapped().ToLiteral(), ")\r\n\tby ", hostname,
                                   " (Hikyaku) with ", Protocol(transaction), " id ", id.text());
  if (transaction.recipients.size() == 1) {
    const std::string recipient = transaction.recipients.front().address.ToString();
    if (mime::IsAscii(recipient)) absl::StrAppend(&field, "\r\n\tfor <", recipient, ">");
  }
  absl::StrAppend(&field, ";\r\n\t", mime::FormatDate(id.time()), "\r\n");
  return field;
}

std::string ReceivedByRpc(const MessageId& id, absl::string_view hostname) {
  return absl::StrCat("Received: by ", hostname, " (Hikyaku) with gRPC id ", id.text(), ";\r\n\t",
                      mime::FormatDate(id.time()), "\r\n");
}

}  // namespace hikyaku::submission
