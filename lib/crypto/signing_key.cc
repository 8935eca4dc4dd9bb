#include "lib/crypto/signing_key.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "openssl/base.h"
#include "openssl/bio.h"
#include "openssl/bn.h"
#include "openssl/bytestring.h"
#include "openssl/curve25519.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/mem.h"
#include "openssl/nid.h"
#include "openssl/pem.h"
#include "openssl/rsa.h"

namespace hikyaku::crypto {
namespace {

// A key of 4096 bits has 3.3 kB in PEM; comments may stand around it.
constexpr std::size_t kMaxPem = 64 * 1024;

// The errors that a failed call left would be taken for those of the next one on this thread.
struct ErrorsCleared {
  ~ErrorsCleared() { ERR_clear_error(); }
};

// Refuses encrypted keys, rather than asking at the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

const std::uint8_t* Bytes(absl::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

absl::Status CheckBits(int bits, int least, absl::string_view use) {
  if (bits >= least && bits <= kMaxRsaBits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("is an RSA key of ", bits, " bits: ", least, " to ", kMaxRsaBits, " are needed to ", use));
}

// RSA keys are kept as such: EVP would allocate for each signature.
absl::StatusOr<KeyType> TypeOf(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA: return KeyType::kRsa;
    case EVP_PKEY_ED25519: return KeyType::kEd25519;
    default: return absl::InvalidArgumentError("is a key of another kind: RSA or Ed25519 are wanted");
  }
}

std::string TakeBytes(CBB* builder) {
  std::uint8_t* data = nullptr;
  std::size_t size = 0;
  HIKYAKU_CHECK(CBB_finish(builder, &data, &size));
  const bssl::UniquePtr<std::uint8_t> owned(data);
  return std::string(reinterpret_cast<const char*>(data), size);
}

}  // namespace

struct SigningKey::Impl {
  KeyType type;
  bssl::UniquePtr<EVP_PKEY> key;
  bssl::UniquePtr<RSA> rsa;                // Of kRsa.
  std::array<std::uint8_t, 64> ed25519{};  // Of kEd25519: the seed, then the public key.

  ~Impl() { OPENSSL_cleanse(ed25519.data(), ed25519.size()); }

  static std::shared_ptr<const Impl> Take(KeyType type, bssl::UniquePtr<EVP_PKEY> key) {
    auto impl = std::make_shared<Impl>();
    impl->type = type;
    if (type == KeyType::kRsa) {
      impl->rsa.reset(EVP_PKEY_get1_RSA(key.get()));
    } else {
      std::size_t size = 32;
      HIKYAKU_CHECK(EVP_PKEY_get_raw_private_key(key.get(), impl->ed25519.data(), &size) && size == 32);
      HIKYAKU_CHECK(EVP_PKEY_get_raw_public_key(key.get(), impl->ed25519.data() + 32, &size) && size == 32);
    }
    impl->key = std::move(key);
    return impl;
  }
};

absl::StatusOr<SigningKey> SigningKey::FromPem(absl::string_view pem) {
  const ErrorsCleared cleared;
  if (pem.size() > kMaxPem) return absl::InvalidArgumentError("is larger than 64KiB: it is no key");
  const bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError("holds no private key in PEM (PKCS #8 or PKCS #1) without a password");
  }
  ASSIGN_OR_RETURN(const KeyType type, TypeOf(key.get()));
  if (type == KeyType::kRsa) RETURN_IF_ERROR(CheckBits(EVP_PKEY_bits(key.get()), kMinSigningBits, "sign"));
  return SigningKey(Impl::Take(type, std::move(key)));
}

absl::StatusOr<SigningKey> SigningKey::GenerateRsa(int bits) {
  const ErrorsCleared cleared;
  RETURN_IF_ERROR(CheckBits(bits, kMinSigningBits, "sign"));
  const bssl::UniquePtr<BIGNUM> exponent(BN_new());
  bssl::UniquePtr<RSA> rsa(RSA_new());
  HIKYAKU_CHECK(BN_set_word(exponent.get(), RSA_F4));
  HIKYAKU_CHECK(RSA_generate_key_ex(rsa.get(), bits, exponent.get(), nullptr));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  HIKYAKU_CHECK(EVP_PKEY_set1_RSA(key.get(), rsa.get()));
  return SigningKey(Impl::Take(KeyType::kRsa, std::move(key)));
}

SigningKey SigningKey::GenerateEd25519() {
  std::array<std::uint8_t, 32> shown;
  std::array<std::uint8_t, 64> secret;
  ED25519_keypair(shown.data(), secret.data());
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), 32));
  OPENSSL_cleanse(secret.data(), secret.size());
  HIKYAKU_CHECK(key != nullptr);
  return SigningKey(Impl::Take(KeyType::kEd25519, std::move(key)));
}

KeyType SigningKey::type() const { return impl_->type; }

int SigningKey::bits() const { return type() == KeyType::kRsa ? static_cast<int>(RSA_bits(impl_->rsa.get())) : 256; }

absl::StatusOr<std::string> SigningKey::Sign(absl::string_view digest) const {
  const ErrorsCleared cleared;
  HIKYAKU_CHECK(digest.size() == kDigestOctets);
  const bool is_rsa = type() == KeyType::kRsa;
  std::string signature(is_rsa ? RSA_size(impl_->rsa.get()) : ED25519_SIGNATURE_LEN, '\0');
  auto* out = reinterpret_cast<std::uint8_t*>(signature.data());
  if (!is_rsa) {
    if (!ED25519_sign(out, Bytes(digest), digest.size(), impl_->ed25519.data())) {
      return absl::InternalError("Ed25519 could not sign");
    }
    return signature;
  }
  // RSA_sign does not change the key but for its cache of blindings, which has a lock of its own.
  unsigned size = 0;
  if (!RSA_sign(NID_sha256, Bytes(digest), digest.size(), out, &size, impl_->rsa.get())) {
    return absl::InternalError("RSA could not sign: is the key damaged?");
  }
  signature.resize(size);
  return signature;
}

std::string SigningKey::PublicKey() const {
  if (type() == KeyType::kEd25519) return std::string(reinterpret_cast<const char*>(impl_->ed25519.data()) + 32, 32);
  bssl::ScopedCBB builder;
  HIKYAKU_CHECK(CBB_init(builder.get(), 512) && EVP_marshal_public_key(builder.get(), impl_->key.get()));
  return TakeBytes(builder.get());
}

std::string SigningKey::ToPem() const {
  const bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  HIKYAKU_CHECK(PEM_write_bio_PKCS8PrivateKey(out.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr));
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
  HIKYAKU_CHECK(BIO_mem_contents(out.get(), &data, &size));
  return std::string(reinterpret_cast<const char*>(data), size);
}

struct VerifyingKey::Impl {
  KeyType type;
  bssl::UniquePtr<RSA> rsa;
  std::string ed25519;
};

namespace {

// Null: neither of the two forms.
bssl::UniquePtr<RSA> ReadPublicRsa(absl::string_view bytes) {
  CBS info;
  CBS_init(&info, Bytes(bytes), bytes.size());
  const bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&info));
  if (key != nullptr && CBS_len(&info) == 0) return bssl::UniquePtr<RSA>(EVP_PKEY_get1_RSA(key.get()));
  return bssl::UniquePtr<RSA>(RSA_public_key_from_bytes(Bytes(bytes), bytes.size()));
}

}  // namespace

absl::StatusOr<VerifyingKey> VerifyingKey::Parse(KeyType type, absl::string_view bytes) {
  const ErrorsCleared cleared;
  auto impl = std::make_shared<Impl>();
  impl->type = type;
  if (type == KeyType::kEd25519) {
    if (bytes.size() != ED25519_PUBLIC_KEY_LEN) {
      return absl::InvalidArgumentError(
          absl::StrCat("has ", bytes.size(), " bytes, and one of Ed25519 has 32 (RFC 8463: the bare key, no ASN.1)"));
    }
    impl->ed25519 = std::string(bytes);
    return VerifyingKey(std::move(impl));
  }
  impl->rsa = ReadPublicRsa(bytes);
  if (impl->rsa == nullptr) return absl::InvalidArgumentError("is no public RSA key");
  RETURN_IF_ERROR(CheckBits(static_cast<int>(RSA_bits(impl->rsa.get())), kMinVerifyingBits, "be believed"));
  return VerifyingKey(std::move(impl));
}

KeyType VerifyingKey::type() const { return impl_->type; }

int VerifyingKey::bits() const { return type() == KeyType::kRsa ? static_cast<int>(RSA_bits(impl_->rsa.get())) : 256; }

bool VerifyingKey::Verify(absl::string_view digest, absl::string_view signature) const {
  const ErrorsCleared cleared;
  if (digest.size() != kDigestOctets) return false;
  if (type() == KeyType::kRsa) {
    return RSA_verify(NID_sha256, Bytes(digest), digest.size(), Bytes(signature), signature.size(), impl_->rsa.get());
  }
  return signature.size() == ED25519_SIGNATURE_LEN &&
         ED25519_verify(Bytes(digest), digest.size(), Bytes(signature), Bytes(impl_->ed25519));
}

}  // namespace hikyaku::crypto
