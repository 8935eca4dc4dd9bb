#include "lib/dkim/signer.h"

#include <initializer_list>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dkim/header_digest.h"
#include "lib/dkim/signature.h"

namespace hikyaku::dkim {
namespace {

// Columns that a line may take, its CRLF not counted: under the 78 of RFC 5322 §2.1.1.
constexpr std::size_t kColumns = 74;
// With a signature of RSA-2048.
constexpr std::size_t kUsualField = 1024;

enum class Cover {
  kAlways,     // What is there, and one more, even of a field that is not there.
  kIfThere,    // What is there, and one more; nothing of a field that is not there, which lists may add.
  kOnlyThere,  // What is there: relays may add one more of their own.
};

struct Row {
  absl::string_view name;
  Cover cover;
};

// RFC 6376 §5.4.1, in its order, and what has come since. Oversigned are the fields that people are shown or that tell
// how the body is read: without that, a second From, Subject or Content-Type before the signed one would be shown with
// our signature still valid (§8.15). Not signed: Received and Return-Path, which grow on the way; DKIM-Signature.
constexpr Row kRows[] = {
    {"from", Cover::kAlways},
    {"to", Cover::kAlways},
    {"cc", Cover::kAlways},
    {"subject", Cover::kAlways},
    {"date", Cover::kAlways},
    {"reply-to", Cover::kAlways},
    {"message-id", Cover::kAlways},
    {"mime-version", Cover::kAlways},
    {"content-type", Cover::kAlways},
    {"content-transfer-encoding", Cover::kAlways},
    {"in-reply-to", Cover::kIfThere},
    {"references", Cover::kIfThere},
    {"list-unsubscribe", Cover::kIfThere},  // RFC 8058 §4: signed, or no one-click.
    {"list-unsubscribe-post", Cover::kIfThere},
    {"list-id", Cover::kIfThere},
    {"list-help", Cover::kIfThere},
    {"list-subscribe", Cover::kIfThere},
    {"list-post", Cover::kIfThere},
    {"list-owner", Cover::kIfThere},
    {"list-archive", Cover::kIfThere},
    {"feedback-id", Cover::kIfThere},  // Gmail counts complaints by it only where it is signed.
    {"auto-submitted", Cover::kIfThere},
    {"sender", Cover::kOnlyThere},
    {"resent-date", Cover::kOnlyThere},
    {"resent-from", Cover::kOnlyThere},
    {"resent-to", Cover::kOnlyThere},
    {"resent-cc", Cover::kOnlyThere},
    {"resent-message-id", Cover::kOnlyThere},
};

// Writes a field in lines of kColumns where its pieces let it.
class Folder {
 public:
  explicit Folder(absl::string_view start) : column_(0) {
    text_.reserve(kUsualField);
    Append(start);
  }

  using Parts = std::initializer_list<absl::string_view>;

  // What `parts` are together cannot be broken; it is preceded by a space, or by a line break and a space.
  void Word(Parts parts) {
    Break(Size(parts) + 1);
    Append(" ");
    for (const absl::string_view part : parts) Append(part);
  }

  // The same without the space where the line need not be broken.
  void Glue(Parts parts) {
    if (Break(Size(parts))) Append(" ");
    for (const absl::string_view part : parts) Append(part);
  }

  // May be broken anywhere.
  void Stream(absl::string_view bytes) {
    while (!bytes.empty()) {
      if (Break(1)) Append(" ");
      const absl::string_view now = bytes.substr(0, kColumns - column_);
      Append(now);
      bytes.remove_prefix(now.size());
    }
  }

  const std::string& text() const { return text_; }
  std::string Take() && { return std::move(text_); }

 private:
  static std::size_t Size(Parts parts) {
    std::size_t size = 0;
    for (const absl::string_view part : parts) size += part.size();
    return size;
  }

  bool Break(std::size_t coming) {
    if (column_ + coming <= kColumns) return false;
    text_.append("\r\n");
    column_ = 0;
    return true;
  }

  void Append(absl::string_view piece) {
    text_.append(piece.data(), piece.size());
    column_ += piece.size();
  }

  std::string text_;
  std::size_t column_;
};

// All of the field but the value of b=, which is its last tag.
Folder WriteTags(const std::vector<absl::string_view>& names, absl::string_view body_digest, const Signatory& signatory,
                 const SigningOptions& options) {
  Folder field(kSignatureField);
  field.Glue({":"});
  field.Word({"v=1;"});
  field.Word({"a=", AlgorithmName(signatory.key.type()), ";"});
  field.Word({"c=", FormName(options.header_form), "/", FormName(options.body_form), ";"});
  field.Word({"d=", signatory.domain, ";"});
  field.Word({"s=", signatory.selector, ";"});
  field.Word({"t=", absl::AlphaNum(options.time).Piece(), ";"});
  for (std::size_t i = 0; i < names.size(); ++i) {
    const absl::string_view end = i + 1 < names.size() ? ":" : ";";
    i == 0 ? field.Word({"h=", names[i], end}) : field.Glue({names[i], end});
  }
  field.Word({"bh=", absl::Base64Escape(body_digest), ";"});
  field.Word({"b="});
  return field;
}

}  // namespace

std::vector<absl::string_view> NamesToSign(const mime::HeaderFields& header) {
  std::vector<absl::string_view> names;
  names.reserve(std::size(kRows));
  for (const Row& row : kRows) {
    const std::size_t there = header.Count(row.name);
    const bool one_more = row.cover == Cover::kAlways || (row.cover == Cover::kIfThere && there > 0);
    names.insert(names.end(), there + (one_more ? 1 : 0), row.name);
  }
  return names;
}

absl::StatusOr<std::string> Sign(const mime::HeaderFields& header, absl::string_view body_digest,
                                 const Signatory& signatory, const SigningOptions& options) {
  const std::vector<absl::string_view> names = NamesToSign(header);
  Folder field = WriteTags(names, body_digest, signatory, options);
  const std::string digest = HeaderDigest(header, names, options.header_form, field.text());
  ASSIGN_OR_RETURN(const std::string signature, signatory.key.Sign(digest));
  field.Stream(absl::Base64Escape(signature));
  std::string text = std::move(field).Take();
  text.append("\r\n");
  return text;
}

}  // namespace hikyaku::dkim
