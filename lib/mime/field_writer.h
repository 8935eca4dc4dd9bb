// Writing header fields: folding, encoded-words, phrases and parameters. Whatever text goes in, one field comes out:
// no line break but the folds', no line over 998 characters, ASCII only (but for addresses that are UTF-8 themselves).
//
// Source:     RFC 5322 §2.2.3 (folding), §3.2.5 (phrase), RFC 2047 (encoded-words), RFC 2231 (parameters).
// Threading:  FieldWriter belongs to one thread; the functions are pure.
#ifndef HIKYAKU_LIB_MIME_FIELD_WRITER_H_
#define HIKYAKU_LIB_MIME_FIELD_WRITER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::mime {

// Writes one field at the end of `out`:
//   FieldWriter field("Content-Type", &out);
//   field.Word("text/plain");
//   field.Parameter("charset", "utf-8");
//   field.End();
// The caller has checked names with IsSafeHeaderName and texts with IsSafeHeaderValue; others abort the process,
// because they would be an injection.
class FieldWriter {
 public:
  // Writes the name and its colon. `out` must outlive the writer.
  FieldWriter(absl::string_view name, std::string* out);

  // Writes a space and `word`, with a fold before them where the line would pass 78. `word` has no line breaks, at most
  // 900 bytes, and is not changed.
  void Word(absl::string_view word);

  // Writes unstructured text (Subject and the like). Words that are not plain ASCII, that look like an encoded-word or
  // that are too long to stand on a line become encoded-words. Blanks at the ends are dropped; a run of more than 40
  // blanks becomes one.
  void Text(absl::string_view utf8);

  // Writes a display name: as atoms, as a quoted-string or as encoded-words, whichever it needs.
  void Phrase(absl::string_view utf8);

  // Writes "; name=value": as a token or a quoted-string where that is possible, else in the form of RFC 2231, split
  // into continuations where it is long.
  void Parameter(absl::string_view name, absl::string_view utf8);

  // Adds one character to the last word: the comma between addresses, the semicolon before a parameter.
  void Append(char c);

  // Writes the CRLF. Call it once, last.
  void End();

 private:
  void Piece(absl::string_view blanks, absl::string_view word);
  void EncodedWords(absl::string_view blanks, absl::string_view utf8);
  void ExtendedParameter(absl::string_view name, absl::string_view utf8);
  void Fold();

  std::string* out_;
  std::size_t column_;  // Characters on the current line.
  std::size_t limit_;   // Where the current line folds.
  bool has_words_ = false;
};

// "Name: value" with its CRLF, folded: the whole of an unstructured field. Same conditions as FieldWriter.
std::string FoldUnstructured(absl::string_view name, absl::string_view value);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_FIELD_WRITER_H_
