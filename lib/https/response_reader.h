// Reads the answer to one request, as its bytes come.
//
// Source:     RFC 9112 (parsed by Boost.Beast); RFC 9110 §15.2: answers of 1xx come before the one that counts.
// Threading:  one owner.
#ifndef HIKYAKU_LIB_HTTPS_RESPONSE_READER_H_
#define HIKYAKU_LIB_HTTPS_RESPONSE_READER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::https {

// Whether an answer with this head is one that the caller can use; else what is wrong with it, as kInvalidArgument.
// `type`: its Content-Type; empty: none.
using Judge = absl::Status (*)(int status, absl::string_view type);

// What the caller takes.
struct Wanted {
  Judge judge = nullptr;     // Never null: asked when the head is whole.
  std::size_t max_body = 0;  // A larger body is refused. 0: the head is all that is wanted.
};

class ResponseReader {
 public:
  static constexpr std::size_t kMaxHeader = 8 * 1024;

  explicit ResponseReader(Wanted wanted);
  ~ResponseReader();

  // True: all that is wanted is here. False: more is to come.
  // kInvalidArgument says why the answer cannot be used: the caller closes.
  absl::StatusOr<bool> Take(absl::string_view bytes);

  // The peer has said that nothing more follows. Ok: that was the end of the body. Else as Take.
  absl::Status End();

  // 0: the head is not here yet.
  int status() const;
  const std::string& body() const;

 private:
  struct Parser;

  void Restart();
  absl::StatusOr<bool> Parse();
  absl::Status TooLarge() const;

  const Wanted wanted_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;  // Read, but not parsed yet.
  std::size_t read_ = 0;
  bool judged_ = false;
};

}  // namespace hikyaku::https

#endif  // HIKYAKU_LIB_HTTPS_RESPONSE_READER_H_
