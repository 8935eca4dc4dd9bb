#include "lib/https/response_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace hikyaku::https {
namespace {

namespace http = boost::beast::http;

// Of all that is read, in bodies: so that one in very small chunks ends too.
constexpr std::size_t kOverhead = 4;
constexpr std::size_t kSmallestLimit = 16 * 1024;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

}  // namespace

struct ResponseReader::Parser {
  http::response_parser<http::string_body> http;
};

ResponseReader::ResponseReader(Wanted wanted) : wanted_(wanted) {
  HIKYAKU_CHECK(wanted_.judge != nullptr);
  Restart();
}

ResponseReader::~ResponseReader() = default;

void ResponseReader::Restart() {
  parser_ = std::make_unique<Parser>();
  parser_->http.header_limit(kMaxHeader);
  // Where the body is not wanted, it is never too large: nobody waits for it.
  parser_->http.body_limit(wanted_.max_body > 0 ? wanted_.max_body : std::numeric_limits<std::uint64_t>::max());
  parser_->http.eager(wanted_.max_body > 0);
}

absl::Status ResponseReader::TooLarge() const {
  return Bad(absl::StrCat("the answer is larger than ", std::max(wanted_.max_body, kSmallestLimit) / 1024, "KiB"));
}

absl::StatusOr<bool> ResponseReader::Take(absl::string_view bytes) {
  read_ += bytes.size();
  if (read_ > kOverhead * std::max(wanted_.max_body, kSmallestLimit)) return TooLarge();
  pending_.append(bytes.data(), bytes.size());
  for (;;) {
    ASSIGN_OR_RETURN(const bool done, Parse());
    if (status() < 100 || status() >= 200) return done;
    // RFC 9110 §15.2: "early hints" and such; the answer follows.
    Restart();
    if (pending_.empty()) return false;
  }
}

absl::StatusOr<bool> ResponseReader::Parse() {
  boost::system::error_code error;
  const std::size_t used = parser_->http.put(boost::asio::buffer(pending_), error);
  pending_.erase(0, used);
  if (error == http::error::body_limit) return TooLarge();
  if (error == http::error::header_limit) return Bad("the header of the answer is larger than 8KiB");
  if (error && error != http::error::need_more) {
    return Bad(absl::StrCat("the answer is no HTTP: ", error.message()));
  }
  if (status() < 200) return false;
  if (!judged_) {
    const auto& answer = parser_->http.get();
    const auto found = answer.find(http::field::content_type);
    const auto type = found == answer.end() ? boost::beast::string_view() : found->value();
    RETURN_IF_ERROR(wanted_.judge(status(), absl::string_view(type.data(), type.size())));
    judged_ = true;
  }
  return wanted_.max_body == 0 || parser_->http.is_done();
}

absl::Status ResponseReader::End() {
  if (status() == 0) return Bad("the answer is cut off");
  boost::system::error_code error;
  parser_->http.put_eof(error);
  if (error || !parser_->http.is_done()) return Bad("the answer is cut off");
  return absl::OkStatus();
}

int ResponseReader::status() const {
  return parser_->http.is_header_done() ? static_cast<int>(parser_->http.get().result_int()) : 0;
}

const std::string& ResponseReader::body() const { return parser_->http.get().body(); }

}  // namespace hikyaku::https
