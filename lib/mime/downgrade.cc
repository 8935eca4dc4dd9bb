// Entities (the message, and each body part) are converted recursively: ASCII ones are copied, multiparts go part by
// part, leaves are encoded.
#include "lib/mime/downgrade.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/mime/content_type.h"
#include "lib/mime/encoding.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

// Each converted part gains up to a hundred bytes of header: bounds the growth of a message of tiny parts.
constexpr int kMaxConvertedParts = 1000;
// RFC 2046 §5.1.1. A long one of repeated characters would also make the search for it slow.
constexpr std::size_t kMaxBoundary = 70;

absl::Status Cannot(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot be converted to 7-bit: ", why));
}

struct Delimiter {
  std::size_t start;  // Of the two dashes.
  std::size_t end;    // Behind the line, its CRLF included.
  bool closes;
};

// The next delimiter line of `boundary` in `body`, from `from` (the start of a line) on (RFC 2046 §5.1.1). `start` is
// npos when there is none.
Delimiter FindDelimiter(absl::string_view body, absl::string_view boundary, std::size_t from) {
  const std::string dashes = absl::StrCat("--", boundary);
  for (std::size_t at = body.find(dashes, from); at != absl::string_view::npos; at = body.find(dashes, at + 2)) {
    if (at != 0 && !absl::EndsWith(body.substr(0, at), "\r\n")) continue;
    const std::size_t crlf = std::min(body.find("\r\n", at), body.size());
    absl::string_view rest = body.substr(at + dashes.size(), crlf - at - dashes.size());
    const bool closes = absl::StartsWith(rest, "--");
    if (closes) rest.remove_prefix(2);
    if (TrimBlanks(rest).empty()) return {at, std::min(crlf + 2, body.size()), closes};
  }
  return {absl::string_view::npos, body.size(), false};
}

class Converter {
 public:
  explicit Converter(std::string* out) : out_(out) {}

  // `default_type` is what an entity without Content-Type is (RFC 2046 §5.1.5).
  absl::Status Entity(absl::string_view entity, int depth, const ContentType& default_type) {
    if (IsAscii(entity)) {
      Append(entity);
      return absl::OkStatus();
    }
    if (++converted_ > kMaxConvertedParts) return Cannot("it has too many 8-bit parts");
    const absl::StatusOr<HeaderFields> header = HeaderFields::Parse(entity);
    if (!header.ok()) return Cannot(header.status().message());
    if (!IsAscii(header->header())) return Cannot("a header holds 8-bit text");
    RETURN_IF_ERROR(CheckLabel(*header));
    ContentType type = default_type;
    if (const HeaderField* field = header->Find("Content-Type")) {
      // RFC 2045 §5.2: what cannot be read is opaque.
      type = ParseContentType(field->value).value_or(ContentType{"application", "octet-stream", {}});
    }
    if (type.type == "multipart") return Multipart(*header, type, depth);
    if (type.type == "message") return Cannot(absl::StrCat("it holds an 8-bit message/", type.subtype));
    Leaf(*header, type, depth);
    return absl::OkStatus();
  }

 private:
  void Append(absl::string_view bytes) { out_->append(bytes.data(), bytes.size()); }

  // 8-bit content is wrong under any other label, so its meaning is unknown.
  static absl::Status CheckLabel(const HeaderFields& header) {
    const HeaderField* field = header.Find("Content-Transfer-Encoding");
    if (field == nullptr) return absl::OkStatus();
    const std::string label = absl::AsciiStrToLower(field->Unfolded());
    if (label == "8bit" || label == "binary" || label == "7bit") return absl::OkStatus();
    return Cannot("an 8-bit part does not say that it is 8bit or binary");
  }

  // The fields of an entity but its Content-Transfer-Encoding, which changes.
  void Header(const HeaderFields& header, int depth) {
    for (const HeaderField& field : header.fields()) {
      if (!field.Is("Content-Transfer-Encoding")) Append(field.raw);
    }
    if (depth == 0 && header.Find("MIME-Version") == nullptr) Append("MIME-Version: 1.0\r\n");
  }

  void Leaf(const HeaderFields& header, const ContentType& type, int depth) {
    const Encoding encoding = type.type == "text" ? ChooseEncoding(header.body()) : Encoding::kBase64;
    Header(header, depth);
    if (header.Find("Content-Type") == nullptr) {
      // RFC 1428 §3 names the charset of text that came without one.
      absl::StrAppend(out_, "Content-Type: text/plain; charset=", IsValidUtf8(header.body()) ? "utf-8" : "unknown-8bit",
                      "\r\n");
    }
    absl::StrAppend(out_, "Content-Transfer-Encoding: ", EncodingName(encoding), "\r\n\r\n");
    AppendEncoded(encoding, header.body(), out_);
  }

  absl::Status Multipart(const HeaderFields& header, const ContentType& type, int depth) {
    if (type.subtype == "signed" || type.subtype == "encrypted") {
      return Cannot(absl::StrCat("8-bit text in multipart/", type.subtype, " may not be changed"));
    }
    if (depth >= kMaxMultipartDepth) return Cannot("its multiparts are nested too deeply");
    const std::string boundary(type.Parameter("boundary"));
    if (boundary.empty()) return Cannot("a multipart has no boundary");
    if (boundary.size() > kMaxBoundary) return Cannot("the boundary of a multipart is longer than 70 characters");
    const ContentType part_type =
        type.subtype == "digest" ? ContentType{"message", "rfc822", {}} : ContentType{"text", "plain", {}};
    Header(header, depth);
    Append("\r\n");
    const absl::string_view body = header.body();
    Delimiter delimiter = FindDelimiter(body, boundary, 0);
    RETURN_IF_ERROR(Outside(body.substr(0, std::min(delimiter.start, body.size()))));
    while (delimiter.start != absl::string_view::npos && !delimiter.closes) {
      Append(body.substr(delimiter.start, delimiter.end - delimiter.start));
      const std::size_t start = delimiter.end;
      delimiter = FindDelimiter(body, boundary, start);
      const std::size_t end = std::min(delimiter.start, body.size());
      // The CRLF before the delimiter is the delimiter's. A part without a line has none.
      const bool has_crlf = delimiter.start != absl::string_view::npos && end >= start + 2;
      RETURN_IF_ERROR(Entity(body.substr(start, end - start - (has_crlf ? 2 : 0)), depth + 1, part_type));
      if (has_crlf) Append("\r\n");
    }
    if (delimiter.start == absl::string_view::npos) return absl::OkStatus();
    return Outside(body.substr(delimiter.start));
  }

  // What stands before the first part, or from the closing delimiter on.
  absl::Status Outside(absl::string_view text) {
    if (!IsAscii(text)) return Cannot("8-bit text stands outside of the parts of a multipart");
    Append(text);
    return absl::OkStatus();
  }

  std::string* out_;
  int converted_ = 0;
};

}  // namespace

absl::StatusOr<std::string> Downgrade8Bit(absl::string_view message) {
  std::string converted;
  converted.reserve(message.size() + message.size() / 2);
  RETURN_IF_ERROR(Converter(&converted).Entity(message, 0, ContentType{"text", "plain", {}}));
  if (!absl::EndsWith(converted, "\r\n")) converted.append("\r\n");
  return converted;
}

}  // namespace hikyaku::mime
