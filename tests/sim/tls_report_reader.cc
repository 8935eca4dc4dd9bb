#include "tests/sim/tls_report_reader.h"

#include <zlib.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "lib/base/message_id.h"

namespace hikyaku::sim {
namespace {

using google::protobuf::Struct;

constexpr std::size_t kMostText = 1 << 20;

// The value of a header field that is not folded.
std::string Field(absl::string_view message, absl::string_view name) {
  const absl::string_view header = message.substr(0, message.find("\r\n\r\n") + 2);
  const std::string begin = absl::StrCat("\r\n", name, ": ");
  const std::size_t at = header.find(begin);
  if (at == absl::string_view::npos) return "";
  const std::size_t from = at + begin.size();
  return std::string(header.substr(from, header.find("\r\n", from) - from));
}

std::string Gunzip(const std::string& packed) {
  constexpr int kGzip = 16;
  z_stream stream = {};
  if (inflateInit2(&stream, MAX_WBITS + kGzip) != Z_OK) return "";
  std::string text(kMostText, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END;
  text.resize(whole ? stream.total_out : 0);
  inflateEnd(&stream);
  return text;
}

std::string FileIn(absl::string_view message) {
  const std::size_t part = message.find("Content-Type: application/tlsrpt+gzip");
  if (part == absl::string_view::npos) return "";
  const std::size_t from = message.find("\r\n\r\n", part) + 4;
  const std::size_t end = message.find("\r\n--", from);
  if (end == absl::string_view::npos) return "";
  std::string packed;
  const std::string text = absl::StrReplaceAll(message.substr(from, end - from), {{"\r\n", ""}});
  return absl::Base64Unescape(text, &packed) ? Gunzip(packed) : "";
}

std::uint64_t Number(const Struct& object, const char* name) {
  const auto it = object.fields().find(name);
  return it == object.fields().end() ? 0 : static_cast<std::uint64_t>(it->second.number_value());
}

const Struct& Object(const Struct& object, const char* name) {
  const auto it = object.fields().find(name);
  return it == object.fields().end() ? Struct::default_instance() : it->second.struct_value();
}

// False: the details do not add up to the summary.
bool AddPolicy(const Struct& policy, Sessions& sessions) {
  const Struct& summary = Object(policy, "summary");
  const std::uint64_t good = Number(summary, "total-successful-session-count");
  if (good > 0) sessions[""] += good;
  std::uint64_t bad = 0;
  const auto details = policy.fields().find("failure-details");
  if (details != policy.fields().end()) {
    for (const auto& value : details->second.list_value().values()) {
      const Struct& failure = value.struct_value();
      const std::uint64_t count = Number(failure, "failed-session-count");
      bad += count;
      sessions[failure.fields().at("result-type").string_value()] += count;
    }
  }
  return bad == Number(summary, "total-failure-session-count");
}

}  // namespace

std::string TlsReportIdOf(absl::string_view message) {
  if (Field(message, "TLS-Report-Domain").empty()) return "";
  const std::string id = Field(message, "Message-ID");
  return id.size() > MessageId::kTextLength ? id.substr(1, MessageId::kTextLength) : "?";
}

absl::StatusOr<TlsReportText> ReadTlsReport(absl::string_view message) {
  TlsReportText text;
  text.domain = Field(message, "TLS-Report-Domain");
  Struct report;
  if (!google::protobuf::util::JsonStringToMessage(FileIn(message), &report).ok()) {
    return absl::InvalidArgumentError("no JSON");
  }
  absl::Time start;
  const auto& range = Object(report, "date-range").fields();
  const auto stamp = range.find("start-datetime");
  std::string error;
  if (stamp == range.end() || !absl::ParseTime(absl::RFC3339_full, stamp->second.string_value(), &start, &error)) {
    return absl::InvalidArgumentError("no date");
  }
  text.day = static_cast<std::uint32_t>(absl::ToUnixSeconds(start) / 86'400);
  const auto policies = report.fields().find("policies");
  if (policies == report.fields().end()) return absl::InvalidArgumentError("no policies");
  for (const auto& policy : policies->second.list_value().values()) {
    if (!AddPolicy(policy.struct_value(), text.sessions)) return absl::InvalidArgumentError("sums that are wrong");
  }
  return text;
}

}  // namespace hikyaku::sim
