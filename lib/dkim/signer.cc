#include "lib/dkim/signer.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dkim/header_digest.h"
#include "lib/dkim/signature.h"

namespace hikyaku::dkim {
namespace {

// Columns that a line may take, its CRLF not counted: under the 78 of RFC 5322 §2.1.1.
constexpr std::size_t kColumns = 74;

enum class Cover {
  kAlways,     // What is there, and one more, even of a field that is not there.
  kIfThere,    // What is there, and one more; nothing of a field that is not there, which lists may add.
  kOnlyThere,  // What is there: relays may add one more of their own.
};

struct Row {
  const char* name;
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
  explicit Folder(absl::string_view start) : text_(start), column_(start.size()) {}

  // `piece` cannot be broken; it is preceded by a space, or by a line break and a space.
  void Word(absl::string_view piece) {
    Break(piece.size() + 1);
    text_.push_back(' ');
    ++column_;
    Append(piece);
  }

  // The same without the space where the line need not be broken.
  void Glue(absl::string_view piece) {
    if (Break(piece.size())) Append(" ");
    Append(piece);
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

 private:
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
Folder WriteTags(const std::vector<std::string>& names, absl::string_view body_digest, const Signatory& signatory,
                 const SigningOptions& options) {
  Folder field(absl::StrCat(kSignatureField, ": v=1;"));
  field.Word(absl::StrCat("a=", AlgorithmName(signatory.key.type()), ";"));
  field.Word(absl::StrCat("c=", FormName(options.header_form), "/", FormName(options.body_form), ";"));
  field.Word(absl::StrCat("d=", signatory.domain, ";"));
  field.Word(absl::StrCat("s=", signatory.selector, ";"));
  field.Word(absl::StrCat("t=", options.time, ";"));
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string piece = absl::StrCat(i == 0 ? "h=" : "", names[i], i + 1 < names.size() ? ":" : ";");
    i == 0 ? field.Word(piece) : field.Glue(piece);
  }
  field.Word(absl::StrCat("bh=", absl::Base64Escape(body_digest), ";"));
  field.Word("b=");
  return field;
}

}  // namespace

std::vector<std::string> NamesToSign(const mime::HeaderFields& header) {
  std::vector<std::string> names;
  for (const Row& row : kRows) {
    const std::size_t there = header.Count(row.name);
    const bool one_more = row.cover == Cover::kAlways || (row.cover == Cover::kIfThere && there > 0);
    names.insert(names.end(), there + (one_more ? 1 : 0), row.name);
  }
  return names;
}

absl::StatusOr<std::string> Sign(const mime::HeaderFields& header, absl::string_view body_digest,
                                 const Signatory& signatory, const SigningOptions& options) {
  const std::vector<std::string> names = NamesToSign(header);
  Folder field = WriteTags(names, body_digest, signatory, options);
  const std::string digest = HeaderDigest(header, names, options.header_form, field.text());
  ASSIGN_OR_RETURN(const std::string signature, signatory.key.Sign(digest));
  field.Stream(absl::Base64Escape(signature));
  return absl::StrCat(field.text(), "\r\n");
}

}  // namespace hikyaku::dkim
