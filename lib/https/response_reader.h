// Reads the answer of a policy host, as its bytes come.
//
// Source:     RFC 9112 (parsed by Boost.Beast); RFC 8461 §3.3: 200 only, no redirects, text/plain.
// Threading:  one owner.
#ifndef HIKYAKU_LIB_MTA_STS_RESPONSE_READER_H_
#define HIKYAKU_LIB_MTA_STS_RESPONSE_READER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::mta_sts {

class ResponseReader {
 public:
  static constexpr std::size_t kMaxHeader = 8 * 1024;
  // Of all that is read, so that a body in very small chunks ends too.
  static constexpr std::size_t kMaxRead = 256 * 1024;

  ResponseReader();
  ~ResponseReader();

  // True: the answer is whole, and body() is the policy's text. False: more is to come.
  // kInvalidArgument says why this answer is no policy: the caller closes.
  absl::StatusOr<bool> Take(absl::string_view bytes);

  // The peer has said that nothing more follows. Ok: that was the end of the body. Else as Take.
  absl::Status End();

  const std::string& body() const;

 private:
  struct Parser;

  absl::Status Judge() const;

  const std::unique_ptr<Parser> parser_;
  std::string pending_;  // Read, but not parsed yet.
  std::size_t read_ = 0;
};

}  // namespace hikyaku::mta_sts

#endif  // HIKYAKU_LIB_MTA_STS_RESPONSE_READER_H_
