#include "lib/address/domain.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::address {
namespace {

using absl::StatusCode;

std::string Repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}

// A name of exactly `octets` (at least 130) characters in labels of at most 63.
std::string NameOf(std::size_t octets) {
  std::string name;
  while (octets - name.size() > 63) name += std::string(50, 'a') + ".";
  return name + std::string(octets - name.size(), 'b');
}

struct Good {
  const char* name;
  std::string text;
  std::string a_label;
};

class DomainAccepted : public testing::TestWithParam<Good> {};

TEST_P(DomainAccepted, GivesTheALabel) {
  const absl::StatusOr<std::string> got = ToALabel(GetParam().text);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(*got, GetParam().a_label);
  EXPECT_EQ(ToALabel(*got).value(), *got) << "an A-label is its own A-label";
}

INSTANTIATE_TEST_SUITE_P(Rfc5891, DomainAccepted,
                         testing::ValuesIn<Good>({
                             {"Plain", "ok.test", "ok.test"},
                             {"UpperCase", "OK.Test", "ok.test"},
                             {"OneLabel", "localhost", "localhost"},
                             {"ULabel", "bücher.test", "xn--bcher-kva.test"},
                             {"UpperULabel", "BÜCHER.test", "xn--bcher-kva.test"},
                             {"DecomposedULabel",
                              "bu\xcc\x88"
                              "cher.test",
                              "xn--bcher-kva.test"},
                             {"ALabel", "xn--bcher-kva.test", "xn--bcher-kva.test"},
                             {"UpperALabel", "XN--BCHER-KVA.TEST", "xn--bcher-kva.test"},
                             {"IdeographicFullStop", "ok。test", "ok.test"},
                             {"FullWidth", "ｏｋ．ｔｅｓｔ", "ok.test"},
                             {"Nontransitional", "faß.test", "xn--fa-hia.test"},
                             {"Japanese", "例え.テスト", "xn--r8jz45g.xn--zckzah"},
                             {"DigitsFirst", "3com.test", "3com.test"},
                             {"NumericButNotLast", "1.2.3.4.test", "1.2.3.4.test"},
                             {"TwoHyphensInside", "r3---sn.test", "r3---sn.test"},
                             {"LabelOf63", std::string(63, 'a') + ".test", std::string(63, 'a') + ".test"},
                             {"NameOf253", NameOf(253), NameOf(253)},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

struct Bad {
  const char* name;
  std::string text;
  StatusCode code;
};

class DomainRefused : public testing::TestWithParam<Bad> {};

TEST_P(DomainRefused, SaysWhyInPrintableAscii) {
  const absl::StatusOr<std::string> got = ToALabel(GetParam().text);
  ASSERT_FALSE(got.ok()) << *got;
  EXPECT_EQ(got.status().code(), GetParam().code) << got.status();
  for (const char c : got.status().message()) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << got.status();
  EXPECT_LT(got.status().message().size(), 500u) << "it fits a reply line even when all is escaped";
}

INSTANTIATE_TEST_SUITE_P(Syntax, DomainRefused,
                         testing::ValuesIn<Bad>({
                             {"Empty", "", StatusCode::kInvalidArgument},
                             {"TrailingDot", "out.test.", StatusCode::kInvalidArgument},
                             {"TrailingIdeographicStop", "out.test。", StatusCode::kInvalidArgument},
                             {"LeadingDot", ".test", StatusCode::kInvalidArgument},
                             {"EmptyLabel", "a..test", StatusCode::kInvalidArgument},
                             {"OnlyDot", ".", StatusCode::kInvalidArgument},
                             {"Underscore", "a_b.test", StatusCode::kInvalidArgument},
                             {"UnderscoreInIdn", "a_ü.test", StatusCode::kInvalidArgument},
                             {"MapsToSlash", "℀.test", StatusCode::kInvalidArgument},
                             {"Port", "ok.test:25", StatusCode::kInvalidArgument},
                             {"Path", "ok.test/..", StatusCode::kInvalidArgument},
                             {"Space", "ok test", StatusCode::kInvalidArgument},
                             {"IdeographicSpace", "ok　x.test", StatusCode::kInvalidArgument},
                             {"At", "a@ok.test", StatusCode::kInvalidArgument},
                             {"Bracket", "ok.test>", StatusCode::kInvalidArgument},
                             {"CrLf", "ok.test\r\nRCPT", StatusCode::kInvalidArgument},
                             {"Nul", std::string("ok.test\0x", 9), StatusCode::kInvalidArgument},
                             {"NulInIdn", std::string("\xc3\xbc.test\0x", 9), StatusCode::kInvalidArgument},
                             {"HyphenFirst", "-a.test", StatusCode::kInvalidArgument},
                             {"HyphenLast", "a-.test", StatusCode::kInvalidArgument},
                             {"BadUtf8", "\xff.test", StatusCode::kInvalidArgument},
                             {"BadPunycode", "xn--a.test", StatusCode::kInvalidArgument},
                             {"EmptyPunycode", "xn--.test", StatusCode::kInvalidArgument},
                             {"PunycodeOfAscii", "xn--a-.test", StatusCode::kInvalidArgument},
                             {"PunycodeOfDisallowed", "xn--n3h.test", StatusCode::kInvalidArgument},
                             {"Symbol", "☃.test", StatusCode::kInvalidArgument},
                             {"ZeroWidthJoiner",
                              "a\xe2\x80\x8d"
                              "b.test",
                              StatusCode::kInvalidArgument},
                             {"MixedDirections", "אa.test", StatusCode::kInvalidArgument},
                             {"DottedQuad", "127.0.0.1", StatusCode::kInvalidArgument},
                             {"ShortQuad", "127.1", StatusCode::kInvalidArgument},
                             {"FullWidthQuad", "１２７.1", StatusCode::kInvalidArgument},
                             {"OneNumber", "2130706433", StatusCode::kInvalidArgument},
                             {"HexFirst", "0x7f.1", StatusCode::kInvalidArgument},
                             {"HexLast", "a.0x7f", StatusCode::kInvalidArgument},
                             {"LabelOf64", std::string(64, 'a') + ".test", StatusCode::kOutOfRange},
                             {"ULabelOf64", Repeat("ü", 64) + ".test", StatusCode::kOutOfRange},
                             {"NameOf254", NameOf(254), StatusCode::kOutOfRange},
                             {"NameOf1MiB", std::string(1 << 20, 'a'), StatusCode::kOutOfRange},
                             {"ControlsAreEscaped", std::string(200, '\x01'), StatusCode::kInvalidArgument},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ULabel, ShowsWhatReadsBackAsTheSameName) {
  EXPECT_EQ(ToULabel("xn--bcher-kva.test"), "bücher.test");
  EXPECT_EQ(ToULabel("ok.test"), "ok.test");
  EXPECT_EQ(ToULabel("xn--a.test"), "xn--a.test");
  EXPECT_EQ(ToULabel("xn--n3h.test"), "xn--n3h.test");
  EXPECT_EQ(ToULabel("[192.0.2.1]"), "[192.0.2.1]");
  EXPECT_EQ(ToULabel(""), "");
}

TEST(Fqdn, HasTwoLabels) {
  EXPECT_TRUE(IsFqdn("mail.test"));
  EXPECT_FALSE(IsFqdn("localhost"));
}

}  // namespace
}  // namespace hikyaku::address
