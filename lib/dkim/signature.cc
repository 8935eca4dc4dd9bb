#include "lib/dkim/signature.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"
#include "lib/dkim/tag_list.h"

namespace hikyaku::dkim {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

// RFC 6376 §3.5: at most 76 digits for l=, 12 for t= and x=. No message has 10^18 octets.
constexpr std::size_t kMaxDigits = 18;

absl::Status Wrong(absl::string_view tag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(tag, "= ", what));
}

absl::StatusOr<absl::string_view> Needed(const TagList& tags, absl::string_view name) {
  const auto value = tags.Find(name);
  if (!value) return Wrong(name, "is missing");
  if (value->empty()) return Wrong(name, "is empty");
  return *value;
}

absl::StatusOr<std::string> Base64(const TagList& tags, absl::string_view name) {
  ASSIGN_OR_RETURN(const absl::string_view value, Needed(tags, name));
  std::string bytes;
  if (!absl::Base64Unescape(WithoutBlanks(value), &bytes)) return Wrong(name, "is not base64");
  return bytes;
}

absl::StatusOr<std::string> Name(const TagList& tags, absl::string_view name) {
  ASSIGN_OR_RETURN(const absl::string_view value, Needed(tags, name));
  if (!IsDnsName(value)) return Wrong(name, "is no domain name");
  return absl::AsciiStrToLower(value);
}

absl::StatusOr<std::optional<std::int64_t>> Number(const TagList& tags, absl::string_view name) {
  const auto value = tags.Find(name);
  std::int64_t number = 0;
  if (!value) return std::optional<std::int64_t>();
  const bool digits = std::all_of(value->begin(), value->end(), [](char c) { return absl::ascii_isdigit(c); });
  if (!digits || value->empty() || value->size() > kMaxDigits || !absl::SimpleAtoi(*value, &number)) {
    return Wrong(name, "is no number");
  }
  return std::optional<std::int64_t>(number);
}

absl::StatusOr<crypto::KeyType> Algorithm(const TagList& tags) {
  ASSIGN_OR_RETURN(const absl::string_view name, Needed(tags, "a"));
  for (const crypto::KeyType type : {crypto::KeyType::kRsa, crypto::KeyType::kEd25519}) {
    if (absl::EqualsIgnoreCase(name, AlgorithmName(type))) return type;
  }
  if (absl::EqualsIgnoreCase(name, "rsa-sha1")) return Wrong("a", "is rsa-sha1, which proves nothing (RFC 8301)");
  return Wrong("a", "is neither rsa-sha256 nor ed25519-sha256");
}

absl::StatusOr<Form> ParseForm(absl::string_view name) {
  if (absl::EqualsIgnoreCase(name, "simple")) return Form::kSimple;
  if (absl::EqualsIgnoreCase(name, "relaxed")) return Form::kRelaxed;
  return Wrong("c", "must be simple or relaxed, for the header and after a \"/\" for the body");
}

absl::Status ReadForms(const TagList& tags, Signature* signature) {
  const auto value = tags.Find("c");
  if (!value) return absl::OkStatus();
  const std::size_t slash = value->find('/');
  ASSIGN_OR_RETURN(signature->header_form, ParseForm(value->substr(0, slash)));
  if (slash == absl::string_view::npos) return absl::OkStatus();
  ASSIGN_OR_RETURN(signature->body_form, ParseForm(value->substr(slash + 1)));
  return absl::OkStatus();
}

absl::Status ReadSignedNames(const TagList& tags, Signature* signature) {
  ASSIGN_OR_RETURN(const absl::string_view value, Needed(tags, "h"));
  bool from = false;
  for (const absl::string_view name : SplitColons(value)) {
    if (name.empty()) return Wrong("h", "holds an empty name");
    if (signature->signed_names.size() == kMaxSignedNames) return Wrong("h", "holds too many names");
    signature->signed_names.push_back(absl::AsciiStrToLower(name));
    from |= signature->signed_names.back() == "from";
  }
  return from ? absl::OkStatus() : Wrong("h", "does not hold From");
}

// §3.5: the identity is of d= or of a subdomain.
absl::Status ReadIdentity(const TagList& tags, Signature* signature) {
  signature->identity = absl::StrCat("@", signature->domain);
  const auto value = tags.Find("i");
  if (!value) return absl::OkStatus();
  signature->identity = std::string(*value);
  const std::size_t at = value->rfind('@');
  if (at == absl::string_view::npos) return Wrong("i", "holds no \"@\"");
  const std::string domain = absl::AsciiStrToLower(value->substr(at + 1));
  if (domain == signature->domain || absl::EndsWith(domain, absl::StrCat(".", signature->domain))) {
    return absl::OkStatus();
  }
  return Wrong("i", "is neither of d= nor of a subdomain");
}

absl::Status ReadTimes(const TagList& tags, Signature* signature) {
  ASSIGN_OR_RETURN(signature->time, Number(tags, "t"));
  ASSIGN_OR_RETURN(signature->expires, Number(tags, "x"));
  if (signature->time && signature->expires && *signature->expires <= *signature->time) {
    return Wrong("x", "is not after t=");
  }
  return absl::OkStatus();
}

absl::Status CheckQuery(const TagList& tags) {
  const auto value = tags.Find("q");
  if (!value) return absl::OkStatus();
  for (const absl::string_view method : SplitColons(*value)) {
    if (absl::EqualsIgnoreCase(method, "dns/txt")) return absl::OkStatus();
  }
  return Wrong("q", "does not hold dns/txt");
}

}  // namespace

std::string Signature::KeyName() const { return absl::StrCat(selector, "._domainkey.", domain); }

absl::string_view AlgorithmName(crypto::KeyType type) {
  return type == crypto::KeyType::kRsa ? "rsa-sha256" : "ed25519-sha256";
}

absl::StatusOr<Signature> ParseSignature(absl::string_view value) {
  ASSIGN_OR_RETURN(const TagList tags, TagList::Parse(value));
  ASSIGN_OR_RETURN(const absl::string_view version, Needed(tags, "v"));
  if (version != "1") return Wrong("v", "is not 1");
  Signature signature;
  ASSIGN_OR_RETURN(signature.key_type, Algorithm(tags));
  ASSIGN_OR_RETURN(signature.domain, Name(tags, "d"));
  ASSIGN_OR_RETURN(signature.selector, Name(tags, "s"));
  ASSIGN_OR_RETURN(signature.body_digest, Base64(tags, "bh"));
  if (signature.body_digest.size() != crypto::kDigestOctets) return Wrong("bh", "is no SHA-256 digest");
  ASSIGN_OR_RETURN(signature.bytes, Base64(tags, "b"));
  RETURN_IF_ERROR(ReadForms(tags, &signature));
  RETURN_IF_ERROR(ReadSignedNames(tags, &signature));
  RETURN_IF_ERROR(ReadIdentity(tags, &signature));
  RETURN_IF_ERROR(ReadTimes(tags, &signature));
  RETURN_IF_ERROR(CheckQuery(tags));
  ASSIGN_OR_RETURN(const auto octets, Number(tags, "l"));
  if (octets) signature.body_octets = static_cast<std::uint64_t>(*octets);
  return signature;
}

bool IsDnsName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return false;
    for (const char c : label) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
    }
  }
  return true;
}

std::string WithoutSignatureBytes(absl::string_view raw) {
  std::size_t at = std::min(raw.find(':') + 1, raw.size());
  while (at < raw.size()) {
    const std::size_t end = std::min(raw.find(';', at), raw.size());
    const absl::string_view spec = raw.substr(at, end - at);
    const std::size_t equals = spec.find('=');
    if (equals != absl::string_view::npos && WithoutBlanks(spec.substr(0, equals)) == "b") {
      return absl::StrCat(raw.substr(0, at + equals + 1), raw.substr(end));
    }
    at = end + 1;
  }
  return std::string(raw);
}

}  // namespace hikyaku::dkim
