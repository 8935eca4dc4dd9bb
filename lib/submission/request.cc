#include "lib/submission/request.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/digest.h"
#include "lib/dsn/options.h"
#include "lib/mime/content_type.h"
#include "lib/mime/text.h"
#include "lib/submission/field_checker.h"

namespace hikyaku::submission {
namespace {

using Mailboxes = google::protobuf::RepeatedPtrField<v1::Mailbox>;

constexpr int kMaxTags = 10;
constexpr std::size_t kMaxTagBytes = 64;
constexpr int kMaxMetadata = 20;
constexpr std::size_t kMaxMetadataBytes = 4096;
constexpr std::size_t kMaxKeyBytes = 256;
constexpr absl::Duration kLongestDelay = absl::Hours(24 * 30);

std::string At(absl::string_view list, int index, absl::string_view member) {
  return absl::StrCat(list, "[", index, "]", member);
}

// Reads one request; one use.
class Reader {
 public:
  Reader(const v1::SendMailRequest& request, const RequestLimits& limits, absl::Time now)
      : request_(request), limits_(limits), now_(now) {}

  absl::StatusOr<Submission> Read() {
    switch (request_.message_case()) {
      case v1::SendMailRequest::kContent: ReadContent(request_.content()); break;
      case v1::SendMailRequest::kRaw: ReadRaw(request_.raw()); break;
      case v1::SendMailRequest::MESSAGE_NOT_SET: check_.Refuse("message", "one of content and raw is required");
    }
    ReadSender();
    ReadLabels();
    ReadReports();
    ReadIdempotencyKey();
    ReadTimes();
    if (!check_.ok()) return FieldFailure(absl::StatusCode::kInvalidArgument, check_.errors());
    RETURN_IF_ERROR(RefuseUnbuilt());
    result_.require_tls = request_.require_tls();
    result_.dry_run = request_.dry_run();
    return std::move(result_);
  }

 private:
  void ReadContent(const v1::Content& content) {
    mime::MessageParts& parts = result_.parts.emplace();
    if (content.has_from()) {
      ReadMailbox("content.from", content.from(), &parts.from);
    } else {
      check_.Refuse("content.from", "is required");
    }
    mime::Mailbox sender;
    if (content.has_sender() && ReadMailbox("content.sender", content.sender(), &sender) &&
        sender.address != parts.from.address) {
      parts.sender = std::move(sender);  // RFC 5322 §3.6.2: only where it differs.
    }
    CheckRecipientCount("content.to", std::size_t{} + content.to_size() + content.cc_size() + content.bcc_size());
    ReadRecipients("content.to", content.to(), &parts.to);
    ReadRecipients("content.cc", content.cc(), &parts.cc);
    std::vector<mime::Mailbox> blind;  // Checked as the others, and then only in the envelope.
    ReadRecipients("content.bcc", content.bcc(), &blind);
    for (int i = 0; i < std::min<int>(content.reply_to_size(), limits_.recipients); ++i) {
      ReadMailbox(At("content.reply_to", i, ""), content.reply_to(i), &parts.reply_to.emplace_back());
    }
    if (content.reply_to_size() > static_cast<int>(limits_.recipients)) {
      check_.Refuse("content.reply_to", absl::StrCat("at most ", limits_.recipients, " are allowed"));
    }
    if (check_.HeaderText("content.subject", content.subject(), mime::kMaxHeaderValueBytes)) {
      parts.subject = content.subject();
    }
    ReadBody(content, &parts);
    ReadHeaders(content, &parts);
  }

  bool ReadMailbox(const std::string& path, const v1::Mailbox& mailbox, mime::Mailbox* into) {
    const auto address = check_.Address(absl::StrCat(path, ".address"), mailbox.address());
    if (!check_.HeaderText(absl::StrCat(path, ".display_name"), mailbox.display_name(), mime::kMaxDisplayNameBytes) ||
        !address.has_value()) {
      return false;
    }
    into->address = address->ToString();
    into->display_name = mailbox.display_name();
    return true;
  }

  void CheckRecipientCount(const std::string& path, std::size_t count) {
    if (count == 0) check_.Refuse(path, "at least one recipient is required");
    too_many_ = count > limits_.recipients;
    if (too_many_) {
      check_.Refuse(path, absl::StrCat("has ", count, " recipients, at most ", limits_.recipients, " are allowed"));
    }
  }

  void ReadRecipients(absl::string_view list, const Mailboxes& mailboxes, std::vector<mime::Mailbox>* into) {
    if (too_many_) return;  // Refused already; the rest would only cost time.
    for (int i = 0; i < mailboxes.size(); ++i) {
      const std::string path = At(list, i, "");
      if (!ReadMailbox(path, mailboxes[i], &into->emplace_back())) continue;
      AddRecipient(absl::StrCat(path, ".address"), mailboxes[i].address());
    }
  }

  void AddRecipient(std::string path, const std::string& written) {
    auto address = check_.Address(path, written);
    if (address.has_value()) result_.recipients.push_back({std::move(path), written, *std::move(address)});
  }

  void ReadBody(const v1::Content& content, mime::MessageParts* parts) {
    if (content.text().empty() && content.html().empty() && content.attachments().empty()) {
      check_.Refuse("content.text", "at least one of text, html and attachments is required");
    }
    parts->text = content.text();
    parts->html = content.html();
    if (content.attachments_size() > static_cast<int>(mime::kMaxAttachments)) {
      check_.Refuse("content.attachments", absl::StrCat("at most ", mime::kMaxAttachments, " are allowed"));
      return;
    }
    for (int i = 0; i < content.attachments_size(); ++i) {
      ReadAttachment(At("content.attachments", i, ""), content.attachments(i), &parts->attachments.emplace_back());
    }
  }

  void ReadAttachment(const std::string& path, const v1::Attachment& from, mime::Attachment* into) {
    const std::string filename = absl::StrCat(path, ".filename");
    if (check_.HeaderText(filename, from.filename(), mime::kMaxFilenameBytes) &&
        from.filename().find_first_of("/\\") != std::string::npos) {
      check_.Refuse(filename, "must be a name without a path");
    }
    if (!from.content_type().empty()) {
      const auto type = mime::ParseLeafContentType(from.content_type());
      if (!type.ok()) check_.Refuse(absl::StrCat(path, ".content_type"), std::string(type.status().message()));
    }
    check_.HeaderText(absl::StrCat(path, ".content_id"), from.content_id(), mime::kMaxFilenameBytes);
    into->filename = from.filename();
    into->content_type = from.content_type();
    into->content = from.content();
    into->content_id = from.content_id();
    into->is_inline = !from.content_id().empty();
  }

  void ReadHeaders(const v1::Content& content, mime::MessageParts* parts) {
    if (content.headers_size() > static_cast<int>(mime::kMaxCustomHeaders)) {
      check_.Refuse("content.headers", absl::StrCat("at most ", mime::kMaxCustomHeaders, " are allowed"));
      return;
    }
    for (int i = 0; i < content.headers_size(); ++i) {
      const v1::Header& header = content.headers(i);
      const std::string name = At("content.headers", i, ".name");
      if (!mime::IsSafeHeaderName(header.name())) {
        check_.Refuse(name, "must be 1 to 76 visible ASCII characters without ':'");
      } else if (mime::IsReservedHeaderName(header.name())) {
        check_.Refuse(name, absl::StrCat(header.name(), " is written by the server"));
      }
      check_.HeaderText(At("content.headers", i, ".value"), header.value(), mime::kMaxHeaderValueBytes);
      parts->headers.emplace_back(header.name(), header.value());
    }
  }

  void ReadRaw(const v1::RawMessage& raw) {
    if (raw.data().empty()) check_.Refuse("raw.data", "is required");
    result_.raw = &raw.data();
    CheckRecipientCount("raw.recipients", raw.recipients_size());
    if (too_many_) return;
    for (int i = 0; i < raw.recipients_size(); ++i) AddRecipient(At("raw.recipients", i, ""), raw.recipients(i));
  }

  void ReadSender() {
    absl::string_view written = request_.envelope_sender();
    if (written == "<>") return;
    if (written.empty() && request_.has_raw()) {
      check_.Refuse("envelope_sender", "is required with raw; \"<>\" is the null reverse-path");
      return;
    }
    // An error of content.from was told under its own name.
    if (written.empty()) {
      const auto from = address::ParseAddress(request_.content().from().address());
      if (from.ok()) result_.sender = *from;
    } else if (auto sender = check_.Address("envelope_sender", written)) {
      result_.sender = *std::move(sender);
    }
  }

  void ReadReports() {
    if (!request_.has_dsn()) return;
    const v1::DsnOptions& asked = request_.dsn();
    if (request_.envelope_sender() == "<>")
      check_.Refuse("dsn", "needs a sender: the null reverse-path gets no reports");
    ReportWish& reports = result_.reports.emplace();
    if (asked.notify_success()) reports.notify |= dsn::kSuccess;
    if (asked.notify_failure()) reports.notify |= dsn::kFailure;
    if (asked.notify_delay()) reports.notify |= dsn::kDelay;
    if (asked.headers_only()) reports.returned = dsn::Returned::kHeaders;
    if (asked.envelope_id().empty()) return;
    const std::string& id = asked.envelope_id();
    reports.envelope_id = dsn::EncodeXtext(id.substr(0, dsn::kMaxEnvelopeId + 1));
    if (!dsn::IsEnvelopeId(reports.envelope_id)) {
      check_.Refuse("dsn.envelope_id", "must be printable ASCII, at most 100 characters as xtext");
    }
  }

  void ReadLabels() {
    if (check_.Label("tenant", request_.tenant())) {
      result_.tenant = request_.tenant().empty() ? kDefaultTenant : request_.tenant();
    }
    if (check_.Label("stream", request_.stream())) result_.stream = request_.stream();
    if (request_.tags_size() > kMaxTags) check_.Refuse("tags", absl::StrCat("at most ", kMaxTags, " are allowed"));
    for (int i = 0; i < std::min(request_.tags_size(), kMaxTags); ++i) {
      const std::string path = At("tags", i, "");
      if (request_.tags(i).empty()) check_.Refuse(path, "must not be empty");
      if (check_.HeaderText(path, request_.tags(i), kMaxTagBytes)) result_.tags.push_back(request_.tags(i));
    }
    std::size_t bytes = 0;
    for (const auto& [key, value] : request_.metadata()) {
      bytes += key.size() + value.size();
      result_.metadata.emplace_back(key, value);
    }
    if (static_cast<int>(request_.metadata().size()) > kMaxMetadata || bytes > kMaxMetadataBytes) {
      check_.Refuse("metadata", "at most 20 pairs, of 4096 bytes in all, are allowed");
    }
    result_.priority = request_.priority() == v1::PRIORITY_UNSPECIFIED ? v1::PRIORITY_NORMAL : request_.priority();
    if (!v1::Priority_IsValid(request_.priority())) check_.Refuse("priority", "is not a priority");
  }

  void ReadIdempotencyKey() {
    const std::string& key = request_.idempotency_key();
    if (key.empty()) return;
    const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
    if (!printable || key.size() > kMaxKeyBytes) {
      check_.Refuse("idempotency_key", "must be at most 256 characters of printable ASCII");
      return;
    }
    if (!check_.ok()) return;
    result_.idempotency_key = key;
    result_.fingerprint = Fingerprint();
  }

  // SHA-256 of the request as the client sent it, with map entries in order. A dry run touches no key, so dry_run is
  // the same wherever this is compared.
  std::string Fingerprint() const {
    std::string bytes;
    bytes.reserve(request_.ByteSizeLong());
    {
      google::protobuf::io::StringOutputStream stream(&bytes);
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      request_.SerializeWithCachedSizes(&coded);
    }
    return crypto::Sha256(bytes);
  }

  void ReadTimes() {
    if (request_.has_not_before()) {
      const auto time = check_.Time("not_before", request_.not_before());
      if (time > now_ + kLongestDelay) check_.Refuse("not_before", "is more than 30 days ahead");
      if (time > now_) result_.not_before = *time;
    }
    if (request_.has_deliver_by()) {
      const auto time = check_.Time("deliver_by", request_.deliver_by());
      if (!time.has_value()) return;
      // A keyed call may repeat one that was in time: the acceptor, who knows the key, refuses it if not.
      const bool may_repeat = !result_.idempotency_key.empty() && !request_.dry_run();
      if (*time <= now_ && !may_repeat) check_.Refuse("deliver_by", "is not in the future");
      if (*time <= result_.not_before) check_.Refuse("deliver_by", "is not after not_before");
      result_.deliver_by = *time;
    }
  }

  absl::Status RefuseUnbuilt() const {
    std::vector<FieldError> fields;
    const auto refuse = [&fields](const char* path) { fields.push_back({path, "is not built yet"}); };
    if (request_.has_list_unsubscribe()) refuse("list_unsubscribe");
    return fields.empty() ? absl::OkStatus() : FieldFailure(absl::StatusCode::kUnimplemented, fields);
  }

  const v1::SendMailRequest& request_;
  const RequestLimits& limits_;
  const absl::Time now_;
  FieldChecker check_;
  Submission result_;
  bool too_many_ = false;
};

}  // namespace

absl::StatusOr<Submission> ReadRequest(const v1::SendMailRequest& request, const RequestLimits& limits,
                                       absl::Time now) {
  return Reader(request, limits, now).Read();
}

std::vector<address::Address> DistinctRecipients(const std::vector<Submission::Recipient>& recipients) {
  std::vector<address::Address> distinct;
  absl::flat_hash_set<address::Address> seen;
  for (const Submission::Recipient& recipient : recipients) {
    if (seen.insert(recipient.address).second) distinct.push_back(recipient.address);
  }
  return distinct;
}

}  // namespace hikyaku::submission
