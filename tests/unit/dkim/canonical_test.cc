#include "lib/dkim/canonical.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/crypto/digest.h"

namespace hikyaku::dkim {
namespace {

std::string Field(Form form, absl::string_view raw) {
  std::string out;
  AppendField(form, raw, &out);
  return out;
}

TEST(AppendFieldRfc6376Section341, SimpleChangesNothing) {
  EXPECT_EQ(Field(Form::kSimple, "SubJect:  a \t b \r\n\tc  \r\n"), "SubJect:  a \t b \r\n\tc  ");
}

TEST(AppendFieldRfc6376Section342, RelaxedUnfoldsAndSqueezes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"A: X\r\n", "a:X"},
      {"B : Y\t\r\n\tZ  \r\n", "b:Y Z"},  // The RFC's own example (§3.4.5).
      {"SubJect:  a \t b \r\n\tc  \r\n", "subject:a b c"},
      {"X:\r\n", "x:"},
      {"X: \t \r\n \r\n", "x:"},
      {"X:no blank", "x:no blank"},
      {"X: a:b: c\r\n", "x:a:b: c"},
      {"X: \xc3\xbc  \xc3\xbc\r\n", "x:\xc3\xbc \xc3\xbc"},
  };
  for (const auto& [raw, form] : cases) EXPECT_EQ(Field(Form::kRelaxed, raw), form) << absl::CHexEscape(raw);
}

struct BodyCase {
  std::string body;
  std::string simple;
  std::string relaxed;
};

const std::vector<BodyCase>& Bodies() {
  static const auto* const cases = new std::vector<BodyCase>{
      {"", "\r\n", ""},
      {"\r\n", "\r\n", ""},
      {"\r\n\r\n\r\n", "\r\n", ""},
      {" \r\n\t\r\n", " \r\n\t\r\n", ""},
      {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},  // The RFC's own example (§3.4.5).
      {"no line end", "no line end\r\n", "no line end\r\n"},
      {"blank at the end  ", "blank at the end  \r\n", "blank at the end\r\n"},
      {"a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
      {"\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
      {"a\t\r\n  \r\nb", "a\t\r\n  \r\nb\r\n", "a\r\n\r\nb\r\n"},
      {"a  b\tc\t\td\r\n", "a  b\tc\t\td\r\n", "a b c d\r\n"},
      {"bare\rCR and bare\nLF\r\n", "bare\rCR and bare\nLF\r\n", "bare\rCR and bare\nLF\r\n"},
      {"a\r\r\nb\r", "a\r\r\nb\r\r\n", "a\r\r\nb\r\r\n"},
      {" \r \r\n", " \r \r\n", " \r\r\n"},
      {"\xff \x01\x0b\r\n", "\xff \x01\x0b\r\n", "\xff \x01\x0b\r\n"},
      {"line\r\n line\r\n\tline\r\n", "line\r\n line\r\n\tline\r\n", "line\r\n line\r\n line\r\n"},
  };
  return *cases;
}

std::string Hash(Form form, absl::string_view body, std::size_t piece) {
  BodyHasher hasher(form);
  for (std::size_t at = 0; at < body.size(); at += piece) hasher.Update(body.substr(at, piece));
  return hasher.Finish();
}

TEST(BodyHasherRfc6376Section34, HashesTheFormHoweverTheBodyIsCut) {
  for (const BodyCase& test : Bodies()) {
    for (std::size_t piece = 1; piece <= test.body.size() + 1; ++piece) {
      EXPECT_EQ(Hash(Form::kSimple, test.body, piece), crypto::Sha256(test.simple))
          << absl::CHexEscape(test.body) << piece;
      EXPECT_EQ(Hash(Form::kRelaxed, test.body, piece), crypto::Sha256(test.relaxed))
          << absl::CHexEscape(test.body) << piece;
    }
  }
}

// Long runs are looked at in blocks, single bytes are not: wherever in a block something stands, both see the same.
TEST(BodyHasherRfc6376Section34, HashesLongBodiesAsByteByByte) {
  constexpr absl::string_view kBytes("aaaabbbcc\xc3\xbc\x01\x7f\xff.  \t\r\n", 20);
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string body;
    // Mostly text with a few other things in it, as mail is; now and then of nothing but those.
    const std::size_t odd = i % 3 == 0 ? 1 : 20;
    while (body.size() < 200) {
      body.append(random() % odd, 'x');
      random() % 4 == 0 ? body.append("\r\n") : body.append(1, kBytes[random() % kBytes.size()]);
    }
    for (const Form form : {Form::kSimple, Form::kRelaxed}) {
      EXPECT_EQ(Hash(form, body, body.size()), Hash(form, body, 1)) << absl::CHexEscape(body);
    }
  }
}

// §3.4.3 and §3.4.4 print the digests of the empty body.
TEST(BodyHasherRfc6376Section34, TheEmptyBodyAsPrinted) {
  EXPECT_EQ(absl::Base64Escape(BodyHasher(Form::kSimple).Finish()), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
  EXPECT_EQ(absl::Base64Escape(BodyHasher(Form::kRelaxed).Finish()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST(BodyHasherRfc6376Section35, ALimitCountsOctetsOfTheForm) {
  BodyHasher hasher(Form::kRelaxed, 5);
  hasher.Update("a  b\r\nc\r\n");
  EXPECT_EQ(hasher.Finish(), crypto::Sha256("a b\r\n"));
  EXPECT_EQ(hasher.octets(), 8u);
}

TEST(BodyHasherLineEnds, ManyHeldBackComeAllOrNone) {
  std::string ends;
  for (int i = 0; i < 1000; ++i) ends += "\r\n";
  EXPECT_EQ(Hash(Form::kRelaxed, absl::StrCat("a", ends, "b"), 7), crypto::Sha256(absl::StrCat("a", ends, "b\r\n")));
  EXPECT_EQ(Hash(Form::kSimple, absl::StrCat("a", ends), 7), crypto::Sha256("a\r\n"));
}

}  // namespace
}  // namespace hikyaku::dkim
