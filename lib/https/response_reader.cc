#include "lib/mta_sts/response_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/mta_sts/policy.h"

namespace hikyaku::mta_sts {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kMostShown = 60;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// "text/plain", whatever parameters follow.
bool IsPlainText(absl::string_view type) {
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type.substr(0, type.find(';'))), "text/plain");
}

absl::Status Explain(const boost::system::error_code& error) {
  if (error == http::error::body_limit) return Bad("the answer is larger than 64KiB");
  if (error == http::error::header_limit) return Bad("the header of the answer is larger than 8KiB");
  return Bad(absl::StrCat("the answer is no HTTP: ", error.message()));
}

}  // namespace

struct ResponseReader::Parser {
  http::response_parser<http::string_body> http;
};

ResponseReader::ResponseReader() : parser_(std::make_unique<Parser>()) {
  parser_->http.header_limit(kMaxHeader);
  parser_->http.body_limit(Policy::kMaxSize);
  parser_->http.eager(true);
}

ResponseReader::~ResponseReader() = default;

absl::StatusOr<bool> ResponseReader::Take(absl::string_view bytes) {
  read_ += bytes.size();
  if (read_ > kMaxRead) return Bad("the answer is larger than 64KiB");
  pending_.append(bytes.data(), bytes.size());
  boost::system::error_code error;
  const std::size_t used = parser_->http.put(boost::asio::buffer(pending_), error);
  pending_.erase(0, used);
  if (error && error != http::error::need_more) return Explain(error);
  if (parser_->http.is_header_done()) RETURN_IF_ERROR(Judge());
  return parser_->http.is_done();
}

absl::Status ResponseReader::End() {
  if (!parser_->http.is_header_done()) return Bad("the answer is cut off");
  boost::system::error_code error;
  parser_->http.put_eof(error);
  if (error || !parser_->http.is_done()) return Bad("the answer is cut off");
  return Judge();
}

absl::Status ResponseReader::Judge() const {
  const auto& answer = parser_->http.get();
  if (answer.result_int() != 200) return Bad(absl::StrCat("the answer is ", answer.result_int(), ", not 200"));
  const auto found = answer.find(http::field::content_type);
  if (found == answer.end()) return Bad("the answer has no Content-Type; text/plain is expected");
  const absl::string_view type(found->value().data(), found->value().size());
  if (IsPlainText(type)) return absl::OkStatus();
  return Bad(absl::StrCat("the answer is \"", absl::CEscape(type.substr(0, kMostShown)), "\", not text/plain"));
}

const std::string& ResponseReader::body() const { return parser_->http.get().body(); }

}  // namespace hikyaku::mta_sts
