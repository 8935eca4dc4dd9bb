#include "lib/https/url.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::https {
namespace {

// "host port target", or why not.
std::string Parse(absl::string_view text) {
  const auto url = ParseUrl(text);
  if (!url.ok()) return absl::StrCat("! ", url.status().message());
  return absl::StrCat(url->host, " ", url->port, " ", url->target);
}

TEST(Url, Parses) {
  EXPECT_EQ(Parse("https://rua.example.net/v1/tlsrpt?x=1&y=%20"), "rua.example.net 443 /v1/tlsrpt?x=1&y=%20");
  EXPECT_EQ(Parse("HTTPS://RUA.Example.NET"), "rua.example.net 443 /");
  EXPECT_EQ(Parse("https://rua.example.net?x"), "rua.example.net 443 /?x");
  EXPECT_EQ(Parse("https://rua.example.net:8443/"), "rua.example.net 8443 /");
  EXPECT_EQ(Parse("https://rua.example.net:443/"), "rua.example.net 443 /");
}

TEST(Url, HasAnOrigin) {
  EXPECT_EQ(ParseUrl("https://Rua.Test/x")->Origin(), "https://rua.test");
  EXPECT_EQ(ParseUrl("https://rua.test:8443/x")->Origin(), "https://rua.test:8443");
}

TEST(Url, RefusesWhatNobodyShouldMakeUsAskFor) {
  EXPECT_EQ(Parse("http://a.test/"), "! the URL does not begin with \"https://\"");
  EXPECT_EQ(Parse("https:/a.test/"), "! the URL does not begin with \"https://\"");
  EXPECT_EQ(Parse("https://user:pw@a.test/"), "! the URL has a login");
  EXPECT_EQ(Parse("https://a.test/#x"), "! the URL has a fragment");
  EXPECT_EQ(Parse("https://a.test/x\r\nHost: b.test"), "! the URL has a character that must be written as %XX");
  EXPECT_EQ(Parse("https://a.test/\xc3\xa4"), "! the URL has a character that must be written as %XX");
  EXPECT_EQ(Parse("https://[::1]/"), "! the URL has an address for a host; a name is expected");
  EXPECT_EQ(Parse("https://127.0.0.1/").substr(0, 22), "! the URL has no host:");
  EXPECT_EQ(Parse("https:///x").substr(0, 22), "! the URL has no host:");
  EXPECT_EQ(Parse("https://localhost/"), "! the URL has a host without a dot");
  for (const char* port : {"", "0", "25", "1023", "65536", "-443", "4 3", "100443"}) {
    EXPECT_EQ(Parse(absl::StrCat("https://a.test:", port, "/")).substr(0, 9), "! the URL") << port;
  }
  EXPECT_EQ(Parse(absl::StrCat("https://a.test/", std::string(2000, 'x'))), "! the URL is longer than 2000 octets");
}

}  // namespace
}  // namespace hikyaku::https
