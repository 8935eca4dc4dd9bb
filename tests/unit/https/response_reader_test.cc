// The answers are those of a policy host (RFC 8461), the strictest of what is asked.
#include "lib/https/response_reader.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/mta_sts/fetch.h"

namespace hikyaku::https {
namespace {

constexpr char kHead[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

// The body, or why there is none. In steps of `step` octets; at the end the peer says that nothing follows.
std::string Read(absl::string_view bytes, std::size_t step = 10'000) {
  ResponseReader reader({mta_sts::JudgeHead, mta_sts::Policy::kMaxSize});
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
    const absl::StatusOr<bool> done = reader.Take(bytes.substr(0, step));
    if (!done.ok()) return absl::StrCat("! ", done.status().message());
    if (*done) return reader.body();
  }
  const absl::Status ended = reader.End();
  return ended.ok() ? reader.body() : absl::StrCat("! ", ended.message());
}

TEST(ResponseReader, TakesABodyHoweverItComes) {
  for (const std::size_t step : {1, 2, 7, 10'000}) {
    EXPECT_EQ(Read(absl::StrCat(kHead, "Content-Length: 5\r\n\r\nhello"), step), "hello");
    EXPECT_EQ(Read(absl::StrCat(kHead, "\r\nhello"), step), "hello") << "until the end";
    EXPECT_EQ(Read(absl::StrCat(kHead, "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), step),
              "hello");
    EXPECT_EQ(Read("HTTP/1.0 200 OK\r\ncontent-type:TEXT/plain ; charset=utf-8\r\n\r\nhello", step), "hello");
  }
}

TEST(ResponseReader, RefusesWhatIsNoPolicy) {
  EXPECT_EQ(Read("HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"),
            "! the answer is 301, not 200");
  EXPECT_EQ(Read("HTTP/1.1 404 Not Found\r\n\r\n"), "! the answer is 404, not 200");
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
            "! the answer is \"text/html\", not text/plain");
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nContent-Type: text/plainer\r\n\r\n"),
            "! the answer is \"text/plainer\", not text/plain");
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\n\r\nhello"), "! the answer has no Content-Type; text/plain is expected");
  EXPECT_EQ(Read("220 mx ESMTP\r\n\r\n").substr(0, 25), "! the answer is no HTTP: ");
}

TEST(ResponseReader, RefusesWhatIsCutOff) {
  EXPECT_EQ(Read(absl::StrCat(kHead, "Content-Length: 6\r\n\r\nhello")), "! the answer is cut off");
  EXPECT_EQ(Read(absl::StrCat(kHead, "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")), "! the answer is cut off");
  EXPECT_EQ(Read("HTTP/1.1 200 OK\r\nContent-"), "! the answer is cut off");
  EXPECT_EQ(Read(""), "! the answer is cut off");
}

TEST(ResponseReader, IsBounded) {
  const std::string most(mta_sts::Policy::kMaxSize, 'a');
  EXPECT_EQ(Read(absl::StrCat(kHead, "\r\n", most)), most);
  EXPECT_EQ(Read(absl::StrCat(kHead, "\r\n", most, "a")), "! the answer is larger than 64KiB");
  EXPECT_EQ(Read(absl::StrCat(kHead, "Content-Length: 65537\r\n\r\n")), "! the answer is larger than 64KiB");
  EXPECT_EQ(Read(absl::StrCat(kHead, "X: ", std::string(ResponseReader::kMaxHeader, 'a'), "\r\n\r\n")),
            "! the header of the answer is larger than 8KiB");
  std::string chunks = absl::StrCat(kHead, "Transfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 60'000; ++i) absl::StrAppend(&chunks, "1\r\na\r\n");
  EXPECT_EQ(Read(chunks), "! the answer is larger than 64KiB");
}

TEST(ResponseReader, PassesOverWhatComesBeforeTheAnswer) {
  const std::string early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
  for (const std::size_t step : {1, 7, 10'000}) {
    EXPECT_EQ(Read(absl::StrCat(early, kHead, "Content-Length: 5\r\n\r\nhello"), step), "hello");
    EXPECT_EQ(Read(early, step), "! the answer is cut off");
  }
}

// Where the head is all that is wanted, nobody waits for the body, however large it says it is.
TEST(ResponseReader, MayTakeTheHeadAlone) {
  const Judge any = [](int, absl::string_view) { return absl::OkStatus(); };
  ResponseReader reader({any, 0});
  EXPECT_FALSE(*reader.Take("HTTP/1.1 202 Accepted\r\nContent-Length: 99999999999\r\n"));
  EXPECT_EQ(reader.status(), 0);
  EXPECT_TRUE(*reader.Take("\r\nmore"));
  EXPECT_EQ(reader.status(), 202);
}

}  // namespace
}  // namespace hikyaku::https
