// The life of a build: check every part (so that an error names its field and nothing is written), choose encodings,
// reserve, then write header and body in one pass.
#include "lib/mime/builder.h"

#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/mime/content_type.h"
#include "lib/mime/encoding.h"
#include "lib/mime/field_writer.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kMaxAddressBytes = 320;  // RFC 5321 §4.5.3.1 allows 254; this only bounds a line.
constexpr std::size_t kMaxIdBytes = 250;       // Message-ID and Content-ID.
constexpr std::size_t kPartHeaderBytes = 512;  // For the reservation; a few parts may take more.
constexpr int kBoundaryTries = 5;

absl::Status FieldError(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// ---- Checks.

absl::Status CheckText(absl::string_view path, absl::string_view text, std::size_t most) {
  if (text.size() > most) return FieldError(path, absl::StrCat("is longer than ", most, " bytes"));
  constexpr absl::string_view kLineBreaks = "\r\n";
  if (text.find_first_of(kLineBreaks) != absl::string_view::npos) {
    return FieldError(path, "holds a line break (CR or LF), which is not allowed here");
  }
  if (text.find('\0') != absl::string_view::npos) return FieldError(path, "holds a NUL, which is not allowed here");
  if (!IsValidUtf8(text)) return FieldError(path, "is not valid UTF-8");
  return absl::OkStatus();
}

// Visible characters without blanks, brackets and separators, but for what stands in a quoted local part. The grammar
// is lib/address's; this makes sure that an address stays one address.
bool IsOneAddress(absl::string_view address) {
  bool quoted = false;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const char c = address[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) return false;
    if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      if (c == '\\' && ++i == address.size()) return false;
    } else if (absl::string_view(" <>(),;\\").find(c) != absl::string_view::npos) {
      return false;
    }
  }
  const std::size_t at = address.rfind('@');
  return !quoted && at != absl::string_view::npos && at > 0 && at + 1 < address.size();
}

absl::Status CheckMailbox(absl::string_view path, const Mailbox& mailbox) {
  RETURN_IF_ERROR(CheckText(absl::StrCat(path, ".display_name"), mailbox.display_name, kMaxDisplayNameBytes));
  const std::string address_path = absl::StrCat(path, ".address");
  if (mailbox.address.empty()) return FieldError(address_path, "is empty");
  RETURN_IF_ERROR(CheckText(address_path, mailbox.address, kMaxAddressBytes));
  if (!IsOneAddress(mailbox.address)) return FieldError(address_path, "is not an address of the form local@domain");
  return absl::OkStatus();
}

absl::Status CheckMailboxes(absl::string_view path, const std::vector<Mailbox>& mailboxes) {
  for (std::size_t i = 0; i < mailboxes.size(); ++i) {
    RETURN_IF_ERROR(CheckMailbox(absl::StrCat(path, "[", i, "]"), mailboxes[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckHeaders(const MessageParts& parts) {
  if (parts.headers.size() > kMaxCustomHeaders) {
    return FieldError("headers", absl::StrCat("there are more than ", kMaxCustomHeaders));
  }
  std::set<std::string> once;
  for (std::size_t i = 0; i < parts.headers.size(); ++i) {
    const auto& [name, value] = parts.headers[i];
    const std::string path = absl::StrCat("headers[", i, "]");
    if (!IsSafeHeaderName(name)) {
      return FieldError(path + ".name", "a header name is 1 to 76 visible ASCII characters without a colon");
    }
    if (IsReservedHeaderName(name)) {
      return FieldError(path + ".name",
                        absl::StrCat(name, " is written by the service and cannot be given as a header"));
    }
    const std::string lower = absl::AsciiStrToLower(name);
    const bool once_only = lower == "in-reply-to" || lower == "references";
    if (once_only && !once.insert(lower).second) {
      return FieldError(path + ".name", absl::StrCat(name, " may be given once only (RFC 5322 section 3.6)"));
    }
    RETURN_IF_ERROR(CheckText(path + ".value", value, kMaxHeaderValueBytes));
  }
  return absl::OkStatus();
}

bool IsIdText(absl::string_view id) {
  constexpr absl::string_view kForbidden = "<>()\"\\,;:";
  if (id.empty() || id.size() > kMaxIdBytes) return false;
  return std::all_of(id.begin(), id.end(),
                     [&](char c) { return c >= 33 && c <= 126 && kForbidden.find(c) == absl::string_view::npos; });
}

// Message-ID is "<left@right>"; what stands between is checked no further, because it is only compared.
absl::Status CheckMessageId(absl::string_view id) {
  const bool framed = id.size() > 2 && id.front() == '<' && id.back() == '>';
  if (framed && IsIdText(id.substr(1, id.size() - 2))) return absl::OkStatus();
  return FieldError("message_id", "is not of the form <unique@host>");
}

// ---- Leaves: what is written, once it has been checked.

struct TextLeaf {
  const char* subtype;
  std::string body;  // With CRLF.
  Encoding encoding;
};

struct FileLeaf {
  const Attachment* attachment;
  ContentType type;
};

struct Leaves {
  std::vector<TextLeaf> texts;    // Plain text first (RFC 2046 §5.1.4: the best form last).
  std::vector<FileLeaf> inlines;  // Those that stand beside the HTML.
  std::vector<FileLeaf> attached;
};

absl::StatusOr<FileLeaf> CheckAttachment(absl::string_view path, const Attachment& attachment) {
  const std::string filename_path = absl::StrCat(path, ".filename");
  RETURN_IF_ERROR(CheckText(filename_path, attachment.filename, kMaxFilenameBytes));
  if (attachment.filename.find_first_of("/\\") != std::string::npos) {
    return FieldError(filename_path, "holds a path; give the name alone, without / and \\");
  }
  if (!attachment.content_id.empty() && !IsIdText(attachment.content_id)) {
    return FieldError(absl::StrCat(path, ".content_id"),
                      "is at most 250 visible ASCII characters without angle brackets, as in image1@example.com");
  }
  if (attachment.content_type.empty()) return FileLeaf{&attachment, {"application", "octet-stream", {}}};
  absl::StatusOr<ContentType> type = ParseLeafContentType(attachment.content_type);
  if (!type.ok()) return FieldError(absl::StrCat(path, ".content_type"), type.status().message());
  return FileLeaf{&attachment, *std::move(type)};
}

absl::Status CollectText(absl::string_view path, const char* subtype, absl::string_view text, Leaves* leaves) {
  if (text.empty()) return absl::OkStatus();
  if (!IsAscii(text) && !IsValidUtf8(text)) return FieldError(path, "is not valid UTF-8");
  TextLeaf leaf{subtype, NormalizeNewlines(text), Encoding::k7Bit};
  leaf.encoding = ChooseEncoding(leaf.body);
  leaves->texts.push_back(std::move(leaf));
  return absl::OkStatus();
}

absl::StatusOr<Leaves> CollectLeaves(const MessageParts& parts) {
  Leaves leaves;
  RETURN_IF_ERROR(CollectText("text", "plain", parts.text, &leaves));
  RETURN_IF_ERROR(CollectText("html", "html", parts.html, &leaves));
  if (parts.attachments.size() > kMaxAttachments) {
    return FieldError("attachments", absl::StrCat("there are more than ", kMaxAttachments));
  }
  std::set<absl::string_view> ids;
  for (std::size_t i = 0; i < parts.attachments.size(); ++i) {
    const Attachment& attachment = parts.attachments[i];
    const std::string path = absl::StrCat("attachments[", i, "]");
    ASSIGN_OR_RETURN(FileLeaf leaf, CheckAttachment(path, attachment));
    if (!attachment.content_id.empty() && !ids.insert(attachment.content_id).second) {
      return FieldError(path + ".content_id", "is that of another attachment too");
    }
    const bool beside_html = attachment.is_inline && !parts.html.empty();
    (beside_html ? leaves.inlines : leaves.attached).push_back(std::move(leaf));
  }
  if (leaves.texts.empty() && leaves.attached.empty()) leaves.texts.push_back({"plain", "", Encoding::k7Bit});
  return leaves;
}

// ---- Header.

void WriteField(absl::string_view name, absl::string_view value, std::string* out) {
  FieldWriter field(name, out);
  field.Text(value);
  field.End();
}

void WriteWord(absl::string_view name, absl::string_view word, std::string* out) {
  FieldWriter field(name, out);
  field.Word(word);
  field.End();
}

void WriteMailboxes(absl::string_view name, const std::vector<Mailbox>& mailboxes, std::string* out) {
  if (mailboxes.empty()) return;
  FieldWriter field(name, out);
  for (std::size_t i = 0; i < mailboxes.size(); ++i) {
    if (i > 0) field.Append(',');
    field.Phrase(mailboxes[i].display_name);
    const bool named = !TrimBlanks(mailboxes[i].display_name).empty();
    field.Word(named ? absl::StrCat("<", mailboxes[i].address, ">") : mailboxes[i].address);
  }
  field.End();
}

void WriteHeader(const MessageParts& parts, std::string* out) {
  WriteField("Date", FormatDate(parts.date), out);
  WriteMailboxes("From", {parts.from}, out);
  if (parts.sender.has_value()) WriteMailboxes("Sender", {*parts.sender}, out);
  WriteMailboxes("Reply-To", parts.reply_to, out);
  WriteMailboxes("To", parts.to, out);
  WriteMailboxes("Cc", parts.cc, out);
  // Some receivers count a message to nobody as spam; RFC 5322 §3.4 has the empty group for it.
  if (parts.to.empty() && parts.cc.empty()) WriteField("To", "undisclosed-recipients:;", out);
  if (!parts.subject.empty()) WriteField("Subject", parts.subject, out);
  WriteWord("Message-ID", parts.message_id, out);
  for (const auto& [name, value] : parts.headers) WriteField(name, value, out);
  out->append("MIME-Version: 1.0\r\n");
}

// ---- Body.

class BodyWriter {
 public:
  BodyWriter(const Leaves& leaves, const std::function<std::string()>& token, std::string* out)
      : leaves_(leaves), token_(token), out_(out) {}

  // Writes the Content-* fields that end the header, the empty line and the body. kInternal: token() is not random.
  absl::Status Write() {
    RETURN_IF_ERROR(WriteMixed());
    if (!absl::EndsWith(*out_, "\r\n")) out_->append("\r\n");
    return absl::OkStatus();
  }

 private:
  absl::Status WriteMixed() {
    if (leaves_.attached.empty()) return WriteRelated();
    ASSIGN_OR_RETURN(const std::string boundary, Open("mixed", ""));
    if (!leaves_.texts.empty()) {
      Delimit(boundary);
      RETURN_IF_ERROR(WriteRelated());
    }
    for (const FileLeaf& leaf : leaves_.attached) {
      Delimit(boundary);
      WriteFile(leaf);
    }
    Close(boundary);
    return absl::OkStatus();
  }

  absl::Status WriteRelated() {
    if (leaves_.inlines.empty()) return WriteAlternative();
    // RFC 2387 §3.1 asks for the type of the root.
    ASSIGN_OR_RETURN(const std::string boundary,
                     Open("related", leaves_.texts.size() > 1 ? "multipart/alternative" : "text/html"));
    Delimit(boundary);
    RETURN_IF_ERROR(WriteAlternative());
    for (const FileLeaf& leaf : leaves_.inlines) {
      Delimit(boundary);
      WriteFile(leaf);
    }
    Close(boundary);
    return absl::OkStatus();
  }

  absl::Status WriteAlternative() {
    if (leaves_.texts.size() == 1) {
      WriteText(leaves_.texts[0]);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::string boundary, Open("alternative", ""));
    for (const TextLeaf& leaf : leaves_.texts) {
      Delimit(boundary);
      WriteText(leaf);
    }
    Close(boundary);
    return absl::OkStatus();
  }

  void WriteText(const TextLeaf& leaf) {
    FieldWriter type("Content-Type", out_);
    type.Word(absl::StrCat("text/", leaf.subtype));
    type.Parameter("charset", "utf-8");
    type.End();
    WriteWord("Content-Transfer-Encoding", EncodingName(leaf.encoding), out_);
    out_->append("\r\n");
    AppendEncoded(leaf.encoding, leaf.body, out_);
  }

  // Always base64: the bytes arrive as they are, whatever they are.
  void WriteFile(const FileLeaf& leaf) {
    const Attachment& attachment = *leaf.attachment;
    FieldWriter type("Content-Type", out_);
    type.Word(absl::StrCat(leaf.type.type, "/", leaf.type.subtype));
    for (const auto& [name, value] : leaf.type.parameters) type.Parameter(name, value);
    type.End();
    out_->append("Content-Transfer-Encoding: base64\r\n");
    FieldWriter disposition("Content-Disposition", out_);
    disposition.Word(attachment.is_inline ? "inline" : "attachment");
    if (!attachment.filename.empty()) disposition.Parameter("filename", attachment.filename);
    disposition.End();
    if (!attachment.content_id.empty()) WriteWord("Content-ID", absl::StrCat("<", attachment.content_id, ">"), out_);
    out_->append("\r\n");
    AppendBase64(attachment.content, out_);
  }

  // Starts a multipart: its Content-Type and the empty line. Returns its boundary.
  absl::StatusOr<std::string> Open(const char* subtype, absl::string_view root_type) {
    ASSIGN_OR_RETURN(std::string boundary, MakeBoundary());
    FieldWriter type("Content-Type", out_);
    type.Word(absl::StrCat("multipart/", subtype));
    if (!root_type.empty()) type.Parameter("type", root_type);
    type.Parameter("boundary", boundary);
    type.End();
    return boundary;
  }

  // "=_" occurs in no quoted-printable and no base64 body (RFC 2045 §6.7), so only 7bit bodies are searched. A sender
  // of such a body cannot know the 128 bits; the search is for the case that their source is broken.
  absl::StatusOr<std::string> MakeBoundary() const {
    for (int i = 0; i < kBoundaryTries; ++i) {
      std::string boundary = absl::StrCat("=_", token_());
      HIKYAKU_CHECK(boundary.size() > 2 && boundary.size() <= 70 && IsToken(boundary.substr(2)));
      const bool occurs = std::any_of(leaves_.texts.begin(), leaves_.texts.end(), [&](const TextLeaf& leaf) {
        return leaf.encoding == Encoding::k7Bit && absl::StrContains(leaf.body, boundary);
      });
      if (!occurs) return boundary;
    }
    return absl::InternalError("the source of boundary tokens is not random");
  }

  // The CRLF before a delimiter belongs to it, not to the part (RFC 2046 §5.1.1): the parts keep their last bytes.
  void Delimit(const std::string& boundary) { absl::StrAppend(out_, "\r\n--", boundary, "\r\n"); }
  void Close(const std::string& boundary) { absl::StrAppend(out_, "\r\n--", boundary, "--"); }

  const Leaves& leaves_;
  const std::function<std::string()>& token_;
  std::string* out_;
};

std::size_t BodySize(const Leaves& leaves) {
  std::size_t size = 0;
  for (const TextLeaf& leaf : leaves.texts) size += Base64Size(leaf.body.size()) + kPartHeaderBytes;
  for (const auto* files : {&leaves.inlines, &leaves.attached}) {
    for (const FileLeaf& leaf : *files) size += Base64Size(leaf.attachment->content.size()) + kPartHeaderBytes;
  }
  return size;
}

absl::Status CheckAddressing(const MessageParts& parts) {
  RETURN_IF_ERROR(CheckMailbox("from", parts.from));
  if (parts.sender.has_value()) RETURN_IF_ERROR(CheckMailbox("sender", *parts.sender));
  RETURN_IF_ERROR(CheckMailboxes("to", parts.to));
  RETURN_IF_ERROR(CheckMailboxes("cc", parts.cc));
  return CheckMailboxes("reply_to", parts.reply_to);
}

}  // namespace

absl::StatusOr<std::string> BuildMessage(const MessageParts& parts) {
  RETURN_IF_ERROR(CheckAddressing(parts));
  RETURN_IF_ERROR(CheckText("subject", parts.subject, kMaxHeaderValueBytes));
  RETURN_IF_ERROR(CheckMessageId(parts.message_id));
  RETURN_IF_ERROR(CheckHeaders(parts));
  ASSIGN_OR_RETURN(const Leaves leaves, CollectLeaves(parts));

  std::string message;
  WriteHeader(parts, &message);
  if (message.size() + kPartHeaderBytes > kMaxHeaderBytes) {
    return FieldError("headers", absl::StrCat("the header, addresses included, would be longer than ",
                                              kMaxHeaderBytes / 1024, " KiB"));
  }
  message.reserve(message.size() + BodySize(leaves));
  RETURN_IF_ERROR(BodyWriter(leaves, parts.boundary_token, &message).Write());
  return message;
}

bool IsReservedHeaderName(absl::string_view name) {
  constexpr std::array<absl::string_view, 18> kNames = {"from",
                                                        "sender",
                                                        "reply-to",
                                                        "to",
                                                        "cc",
                                                        "bcc",
                                                        "subject",
                                                        "date",
                                                        "message-id",
                                                        "mime-version",
                                                        "return-path",
                                                        "received",
                                                        "dkim-signature",
                                                        "domainkey-signature",
                                                        "authentication-results",
                                                        "received-spf",
                                                        "delivered-to",
                                                        "apparently-to"};
  constexpr std::array<absl::string_view, 3> kPrefixes = {"content-", "arc-", "resent-"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](absl::string_view reserved) { return absl::EqualsIgnoreCase(name, reserved); }) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](absl::string_view prefix) { return absl::StartsWithIgnoreCase(name, prefix); });
}

std::pair<std::string, std::string> SplitFieldError(const absl::Status& status) {
  const absl::string_view text = status.message();
  const std::size_t colon = text.find(": ");
  if (status.code() != absl::StatusCode::kInvalidArgument || colon == absl::string_view::npos) {
    return {"", std::string(text)};
  }
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 2))};
}

}  // namespace hikyaku::mime
