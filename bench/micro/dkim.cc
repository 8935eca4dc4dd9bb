// What signing costs beside the bare signature of the library: the difference is the digest of the mail and the field's
// text.
#include <benchmark/benchmark.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "lib/crypto/digest.h"
#include "lib/dkim/signer.h"
#include "lib/mime/header.h"

namespace hikyaku::dkim {
namespace {

const Signatory& SignatoryOf(crypto::KeyType type) {
  static const auto* const rsa = new Signatory{"example.com", "k1", *crypto::SigningKey::GenerateRsa(2048)};
  static const auto* const ed25519 = new Signatory{"example.com", "e1", crypto::SigningKey::GenerateEd25519()};
  return type == crypto::KeyType::kRsa ? *rsa : *ed25519;
}

// Of about `octets`: an ordinary header, lines of text.
std::string MailOf(std::size_t octets) {
  std::string mail =
      "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: A mail of the usual kind\r\n"
      "Date: Fri, 27 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1.2.3@mail.example.com>\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\nList-Unsubscribe: <https://example.com/u/1>\r\n\r\n";
  while (mail.size() < octets)
    absl::StrAppend(&mail, "It was the best of times, it was the worst of times, it was the age\r\n");
  return mail;
}

void BareSignature(benchmark::State& state, crypto::KeyType type) {
  const crypto::SigningKey& key = SignatoryOf(type).key;
  const std::string digest = crypto::Sha256("mail");
  for (auto _ : state) benchmark::DoNotOptimize(key.Sign(digest));
}

void SignMail(benchmark::State& state, crypto::KeyType type) {
  const std::string mail = MailOf(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const auto header = mime::HeaderFields::Parse(mail);
    BodyHasher hasher(Form::kRelaxed);
    hasher.Update(header->body());
    benchmark::DoNotOptimize(Sign(*header, hasher.Finish(), SignatoryOf(type), {1700000000}));
  }
}

void HashBody(benchmark::State& state, Form form) {
  const std::string mail = MailOf(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    BodyHasher hasher(form);
    hasher.Update(mail);
    benchmark::DoNotOptimize(hasher.Finish());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(mail.size()));
}

void Sha256Alone(benchmark::State& state) {
  const std::string mail = MailOf(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(crypto::Sha256(mail));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(mail.size()));
}

BENCHMARK_CAPTURE(BareSignature, DkimRsa2048, crypto::KeyType::kRsa);
BENCHMARK_CAPTURE(SignMail, DkimRsa2048, crypto::KeyType::kRsa)->Arg(4 << 10)->Arg(1 << 20);
BENCHMARK_CAPTURE(BareSignature, DkimEd25519, crypto::KeyType::kEd25519);
BENCHMARK_CAPTURE(SignMail, DkimEd25519, crypto::KeyType::kEd25519)->Arg(4 << 10)->Arg(1 << 20);
BENCHMARK_CAPTURE(HashBody, DkimRelaxed, Form::kRelaxed)->Arg(4 << 10)->Arg(1 << 20);
BENCHMARK_CAPTURE(HashBody, DkimSimple, Form::kSimple)->Arg(4 << 10)->Arg(1 << 20);
BENCHMARK(Sha256Alone)->Name("DkimSha256Alone")->Arg(4 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace hikyaku::dkim
