// A body's digest is that of the form as RFC 6376 §3.4 describes it, however it is cut; what we sign passes our own
// check, and fails it after a change; a stranger's mail and record give a verdict that one may print.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/check.h"
#include "lib/crypto/digest.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/signer.h"
#include "lib/dkim/verifier.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using namespace hikyaku::dkim;  // NOLINT(google-build-using-namespace): the file is about nothing else.
using hikyaku::fuzz::Input;

constexpr std::int64_t kNow = 1700000000;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// A line of the relaxed form: blanks at the end go, other runs of them are one space.
std::string RelaxLine(absl::string_view line) {
  while (!line.empty() && IsBlank(line.back())) line.remove_suffix(1);
  std::string relaxed;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!IsBlank(line[i])) {
      relaxed.push_back(line[i]);
    } else if (i == 0 || !IsBlank(line[i - 1])) {
      relaxed.push_back(' ');
    }
  }
  return relaxed;
}

// The form of a body, line by line.
std::string FormOf(Form form, absl::string_view body) {
  std::vector<std::string> lines = absl::StrSplit(body, "\r\n");
  if (form == Form::kRelaxed) std::transform(lines.begin(), lines.end(), lines.begin(), RelaxLine);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, line, "\r\n");
  return text.empty() && form == Form::kSimple ? "\r\n" : text;
}

void CheckBody(Form form, absl::string_view body, std::size_t piece) {
  BodyHasher hasher(form);
  for (std::size_t at = 0; at < body.size(); at += piece) hasher.Update(body.substr(at, piece));
  const std::string wanted = FormOf(form, body);
  HIKYAKU_CHECK(hasher.Finish() == hikyaku::crypto::Sha256(wanted));
  HIKYAKU_CHECK(hasher.octets() == wanted.size());
}

const hikyaku::crypto::SigningKey& Key() {
  static const auto* const key = new hikyaku::crypto::SigningKey(hikyaku::crypto::SigningKey::GenerateEd25519());
  return *key;
}

Result FirstResult(const std::string& message) {
  const auto verdicts = Verify(message, kNow, [](const std::string& name) -> KeyAnswer {
    if (name != "fuzz._domainkey.ours.test") return absl::NotFoundError("no key");
    return std::vector<std::string>{FormatKeyRecord(Key())};
  });
  HIKYAKU_CHECK(verdicts.ok() && !verdicts->empty());
  return verdicts->front().result;
}

void CheckSigning(const std::string& message, SigningOptions options) {
  const auto header = hikyaku::mime::HeaderFields::Parse(message);
  if (!header.ok() || header->fields().size() + 1 > hikyaku::mime::kMaxFields) return;
  if (header->header().size() + 4096 > hikyaku::mime::kMaxHeaderBytes) return;
  BodyHasher hasher(options.body_form);
  hasher.Update(header->body());
  const auto field = Sign(*header, hasher.Finish(), {"ours.test", "fuzz", Key()}, options);
  HIKYAKU_CHECK(field.ok() && absl::EndsWith(*field, "\r\n") && !hikyaku::fuzz::HasBareLineEnd(*field));
  HIKYAKU_CHECK(hikyaku::fuzz::LongestLine(*field) <= hikyaku::mime::kSoftLine);
  HIKYAKU_CHECK(FirstResult(absl::StrCat(*field, message)) == Result::kPass);
  HIKYAKU_CHECK(FirstResult(absl::StrCat(*field, "From: evil@elsewhere.test\r\n", message)) == Result::kFail);
  const bool has_body = message.size() > header->header().size();
  if (has_body) HIKYAKU_CHECK(FirstResult(absl::StrCat(*field, message, "x")) == Result::kFail);
}

// The mail and the record are a stranger's.
void CheckVerifying(absl::string_view message, const std::string& record) {
  const auto verification = Verification::Start(message, kNow);
  if (!verification.ok()) return;
  HIKYAKU_CHECK(verification->size() <= kMaxSignatures);
  for (std::size_t i = 0; i < verification->size(); ++i) {
    const Verdict verdict = verification->Judge(i, std::vector<std::string>{record});
    HIKYAKU_CHECK(verdict.result == Result::kPass || !verdict.reason.empty());
    const std::string line = verdict.ToString();
    HIKYAKU_CHECK(std::none_of(line.begin(), line.end(), hikyaku::fuzz::IsControl));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t choice = input.Byte();
  const SigningOptions options{kNow, choice & 1 ? Form::kSimple : Form::kRelaxed,
                               choice & 2 ? Form::kSimple : Form::kRelaxed};
  const std::size_t piece = 1 + (choice >> 2);
  const std::string record = input.Text();
  const absl::string_view message = input.rest();
  CheckBody(options.body_form, message, piece);
  CheckSigning(std::string(message), options);
  CheckVerifying(message, record);
  return 0;
}
