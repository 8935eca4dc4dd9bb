// Signs files with lib/dkim in any canonical form, which the service itself never does: for verifiers that others
// wrote.
//
// Usage: sign_mails KEY.pem SELECTOR DOMAIN HEADER_FORM/BODY_FORM OUT_FOLDER FILE...     Forms: simple, relaxed.
// Each file, with CRLF line ends, is written to OUT_FOLDER under its name, signed. Exit 1: one could not be.
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/dkim/signer.h"

namespace hikyaku::dkim {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Form FormOf(absl::string_view name) { return name == "simple" ? Form::kSimple : Form::kRelaxed; }

absl::StatusOr<std::string> SignedMail(const std::string& mail, const Signatory& signatory, SigningOptions options) {
  const auto header = mime::HeaderFields::Parse(mail);
  if (!header.ok()) return header.status();
  BodyHasher hasher(options.body_form);
  hasher.Update(header->body());
  const auto field = Sign(*header, hasher.Finish(), signatory, options);
  if (!field.ok()) return field.status();
  return absl::StrCat(*field, mail);
}

int Run(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr, "usage: sign_mails KEY.pem SELECTOR DOMAIN HEADER_FORM/BODY_FORM OUT_FOLDER FILE...\n");
    return 2;
  }
  const auto key = crypto::SigningKey::FromPem(Read(argv[1]));
  if (!key.ok()) {
    std::fprintf(stderr, "%s %s\n", argv[1], std::string(key.status().message()).c_str());
    return 1;
  }
  const absl::string_view forms = argv[4];
  SigningOptions options;
  options.time = std::time(nullptr);
  options.header_form = FormOf(forms.substr(0, forms.find('/')));
  options.body_form = FormOf(forms.substr(forms.find('/') + 1));
  for (int i = 6; i < argc; ++i) {
    const std::string path = argv[i];
    const auto mail = SignedMail(Read(path), {argv[3], argv[2], *key}, options);
    if (!mail.ok()) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), std::string(mail.status().message()).c_str());
      return 1;
    }
    std::ofstream(absl::StrCat(argv[5], path.substr(path.rfind('/'))), std::ios::binary) << *mail;
  }
  return 0;
}

}  // namespace
}  // namespace hikyaku::dkim

int main(int argc, char** argv) { return hikyaku::dkim::Run(argc, argv); }
