#include "tests/sim/secrets.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/crypto/digest.h"
#include "lib/crypto/signing_key.h"
#include "lib/dkim/key_record.h"
#include "lib/tls/make_certificate.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {
namespace {

// Longer than a run and a clock that is wrong.
constexpr absl::Duration kLongLife = absl::Hours(30 * 24);

// A P-256 key as PEM (PKCS #8), that follows from what it is for.
std::string KeyFor(absl::string_view what) {
  const std::string head = absl::HexStringToBytes(
      "3041020100301306072a8648ce3d020106082a8648ce3d030107"
      "042730250201010420");
  std::string scalar = crypto::Sha256(what);
  scalar[0] &= 0x7f;  // Below the group's order.
  const std::string text = absl::Base64Escape(absl::StrCat(head, scalar));
  return absl::StrCat("-----BEGIN PRIVATE KEY-----\n", text.substr(0, 64), "\n", text.substr(64),
                      "\n-----END PRIVATE KEY-----\n");
}

tls::Identity MakeIdentity(const std::string& name, const tls::Identity* issuer, absl::Duration left = kLongLife) {
  tls::CertificateRequest request;
  request.common_name = name;
  request.dns_names = {name};
  request.not_before = World::kStart - kLongLife;
  request.not_after = World::kStart + left;
  request.key = KeyFor(absl::StrCat(name, issuer == nullptr ? " by itself" : "", left < kLongLife ? " expired" : ""));
  return *tls::MakeCertificate(request, issuer);
}

tls::Identity MakeIdentityOf(const std::string& name, Certificate certificate) {
  switch (certificate) {
    case Certificate::kGood: break;
    case Certificate::kSelfSigned: return MakeIdentity(name, nullptr);
    case Certificate::kExpired: return MakeIdentity(name, &Authority(), -absl::Hours(1));
  }
  return MakeIdentity(name, &Authority());
}

// The folder of the keys, which goes with the process, and the records of their public halves.
struct Keys {
  std::string folder;
  std::map<std::string, std::string> records;  // By name.
};

std::string MakeFolder() {
  const char* const base = std::getenv("TEST_TMPDIR");
  std::string folder = absl::StrCat(base == nullptr ? "/tmp" : base, "/simulation-keys-XXXXXX");
  HIKYAKU_CHECK(mkdtemp(folder.data()) != nullptr);
  return folder;
}

const Keys& AllKeys() {
  static const Keys* const keys = [] {
    auto made = new Keys;
    made->folder = MakeFolder();
    for (const char* const selector : {kSelector, kOtherSelector}) {
      const crypto::SigningKey key = crypto::SigningKey::GenerateEd25519();
      const std::string file = delivery::DkimFileName(selector, kSignedDomain);
      std::ofstream(absl::StrCat(made->folder, "/", file)) << key.ToPem();
      made->records[absl::StrCat(selector, "._domainkey.", kSignedDomain)] = dkim::FormatKeyRecord(key);
    }
    return made;
  }();
  static const int cleaned = std::atexit([] {
    std::error_code ignored;
    std::filesystem::remove_all(AllKeys().folder, ignored);
  });
  HIKYAKU_CHECK(cleaned == 0);
  return *keys;
}

}  // namespace

const tls::Identity& Authority() {
  static const tls::Identity* const authority = [] {
    tls::CertificateRequest request;
    request.common_name = "The authority";
    request.authority = true;
    request.not_before = World::kStart - kLongLife;
    request.not_after = World::kStart + kLongLife;
    request.key = KeyFor("the authority");
    return new tls::Identity(*tls::MakeCertificate(request));
  }();
  return *authority;
}

const tls::Identity& IdentityOf(const std::string& name, Certificate certificate) {
  using Identities = std::map<std::pair<std::string, Certificate>, tls::Identity>;
  static Identities* const identities = new Identities;
  const auto key = std::make_pair(name, certificate);
  const auto known = identities->find(key);
  if (known != identities->end()) return known->second;
  return identities->emplace(key, MakeIdentityOf(name, certificate)).first->second;
}

std::shared_ptr<const tls::ServerContext> ContextOf(const std::string& name, Certificate certificate) {
  using Contexts = std::map<std::pair<std::string, Certificate>, std::shared_ptr<const tls::ServerContext>>;
  static Contexts* const contexts = new Contexts;
  std::shared_ptr<const tls::ServerContext>& context = (*contexts)[{name, certificate}];
  if (context == nullptr) {
    const tls::Identity& identity = IdentityOf(name, certificate);
    context = *tls::ServerContext::Create(identity.certificate, identity.key);
  }
  return context;
}

std::shared_ptr<const tls::TrustRoots> Roots() {
  static const auto* const roots =
      new std::shared_ptr<const tls::TrustRoots>(*tls::TrustRoots::FromPem(Authority().certificate));
  return *roots;
}

delivery::DkimOptions SigningOptions(std::vector<std::string> selectors) {
  return {AllKeys().folder, {{kSignedDomain, kSignedDomain, std::move(selectors)}}};
}

dkim::KeyAnswer LookUpKey(const std::string& name) {
  const auto record = AllKeys().records.find(name);
  if (record == AllKeys().records.end()) return absl::NotFoundError("NXDOMAIN");
  return std::vector<std::string>{record->second};
}

}  // namespace hikyaku::sim
