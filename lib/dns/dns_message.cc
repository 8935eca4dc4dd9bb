#include "lib/dns/dns_message.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace hikyaku::dns {
namespace {

constexpr std::size_t kMaxName = 253;   // In text form.
constexpr std::size_t kMaxLabel = 63;   // RFC 1035 §2.3.4.
constexpr int kMaxJumps = 32;           // Compression pointers of one name: a loop ends here.
constexpr std::uint16_t kInternet = 1;  // Class IN.

absl::Status Damaged(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged DNS message: ", what));
}

// Reads numbers and names from a message, never past its end.
class Reader {
 public:
  explicit Reader(absl::string_view message) : message_(message) {}

  std::size_t at() const { return at_; }
  void Seek(std::size_t at) { at_ = at; }

  // Whether `count` more bytes are there. The Take functions below are called after it said yes.
  bool Has(std::size_t count) const { return message_.size() - at_ >= count; }

  std::uint8_t Take8() { return static_cast<std::uint8_t>(message_[at_++]); }
  std::uint16_t Take16() {
    const unsigned high = Take8();
    return static_cast<std::uint16_t>(high << 8 | Take8());
  }
  std::uint32_t Take32() {
    const std::uint32_t high = Take16();
    return high << 16 | Take16();
  }
  absl::string_view TakeBytes(std::size_t count) {
    const absl::string_view bytes = message_.substr(at_, count);
    at_ += count;
    return bytes;
  }

  // A name in text form, lower case; the root is empty. Bytes that would change the meaning of the text (dots,
  // controls, non-ASCII) become `?`, which no name that we ask for holds.
  absl::StatusOr<std::string> TakeName() {
    std::string name;
    std::size_t after = 0;  // Where the reader goes on when the first pointer has been followed.
    for (int jumps = 0;;) {
      if (!Has(1)) return Damaged("name cut short");
      const std::uint8_t length = Take8();
      if (length == 0) break;
      if (length >= 0xC0) {
        if (!Has(1)) return Damaged("pointer cut short");
        const std::size_t target = (length & 0x3Fu) << 8 | Take8();
        if (++jumps > kMaxJumps || target >= message_.size()) return Damaged("bad compression pointer");
        if (jumps == 1) after = at_;
        at_ = target;
        continue;
      }
      if (length > kMaxLabel || !Has(length)) return Damaged("bad label");
      if (!name.empty()) name.push_back('.');
      for (const char c : TakeBytes(length))
        name.push_back(absl::ascii_isgraph(c) && c != '.' ? absl::ascii_tolower(c) : '?');
      if (name.size() > kMaxName) return Damaged("name too long");
    }
    if (after != 0) at_ = after;
    return name;
  }

 private:
  const absl::string_view message_;
  std::size_t at_ = 0;
};

struct Record {
  std::string owner;
  RecordType type;
  std::uint16_t klass;
  absl::Duration ttl;
  std::size_t data_at;
  std::size_t data_size;
};

// Leaves the reader behind the record.
absl::StatusOr<Record> TakeRecord(Reader& reader) {
  Record record;
  ASSIGN_OR_RETURN(record.owner, reader.TakeName());
  if (!reader.Has(10)) return Damaged("record cut short");
  record.type = static_cast<RecordType>(reader.Take16());
  record.klass = reader.Take16();
  const std::uint32_t ttl = reader.Take32();
  record.ttl = absl::Seconds(ttl > 0x7FFFFFFF ? 0 : ttl);  // RFC 2181 §8.
  record.data_size = reader.Take16();
  record.data_at = reader.at();
  if (!reader.Has(record.data_size)) return Damaged("record data cut short");
  reader.Seek(record.data_at + record.data_size);
  return record;
}

absl::StatusOr<RecordData> ReadAddress(Reader& reader, const Record& record) {
  const std::size_t expected = record.type == RecordType::kA ? 4 : 16;
  if (record.data_size != expected) return Damaged("address of a wrong length");
  RecordData data;
  data.address = *address::IpAddress::FromBytes(reader.TakeBytes(expected));
  return data;
}

absl::StatusOr<RecordData> ReadText(Reader& reader, const Record& record) {
  RecordData data;
  for (std::size_t left = record.data_size; left > 0;) {
    const std::size_t length = reader.Take8();
    if (length + 1 > left) return Damaged("TXT string cut short");
    const absl::string_view part = reader.TakeBytes(length);
    data.text.append(part.data(), part.size());
    left -= length + 1;
  }
  return data;
}

// Of any length: that a record is there counts, even where it cannot be used (RFC 7672 §2.2).
RecordData ReadTlsa(Reader& reader, const Record& record) {
  RecordData data;
  const absl::string_view bytes = reader.TakeBytes(record.data_size);
  data.text = std::string(bytes.substr(0, bytes.size() > kMaxTlsaRecord ? 3 : bytes.size()));
  return data;
}

absl::StatusOr<RecordData> ReadData(absl::string_view message, const Record& record) {
  Reader reader(message);
  reader.Seek(record.data_at);
  if (record.type == RecordType::kA || record.type == RecordType::kAaaa) return ReadAddress(reader, record);
  if (record.type == RecordType::kTxt) return ReadText(reader, record);
  if (record.type == RecordType::kTlsa) return ReadTlsa(reader, record);
  RecordData data;
  if (record.type == RecordType::kMx) {
    if (record.data_size < 3) return Damaged("MX too short");
    data.preference = reader.Take16();
  }
  ASSIGN_OR_RETURN(data.text, reader.TakeName());
  return data;
}

// RFC 2308 §5: the smaller of the SOA's own TTL and its MINIMUM field, the last of its data.
std::optional<absl::Duration> NegativeTtl(absl::string_view message, const Record& record) {
  if (record.data_size < 22) return std::nullopt;
  Reader reader(message);
  reader.Seek(record.data_at + record.data_size - 4);
  return std::min(record.ttl, absl::Seconds(reader.Take32()));
}

// The answer section's records, no more than kMaxRecords.
absl::StatusOr<std::vector<Record>> TakeAnswers(Reader& reader, std::size_t count) {
  std::vector<Record> answers;
  for (std::size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(Record record, TakeRecord(reader));
    if (record.klass == kInternet && answers.size() < kMaxRecords) answers.push_back(std::move(record));
  }
  return answers;
}

// Where the aliases that begin at `name` lead; lowers `ttl` to the smallest on the way. An alias may stand anywhere in
// the answer (some servers reorder).
absl::StatusOr<std::string> FollowAliases(absl::string_view message, const std::vector<Record>& answers,
                                          absl::string_view name, absl::Duration& ttl) {
  std::string current(name);
  for (int i = 0;; ++i) {
    const auto alias = std::find_if(answers.begin(), answers.end(), [&](const Record& record) {
      return record.type == RecordType::kCname && record.owner == current;
    });
    if (alias == answers.end()) return current;
    if (i == kMaxAliases) return Damaged("aliases without an end");
    ASSIGN_OR_RETURN(RecordData target, ReadData(message, *alias));
    ttl = std::min(ttl, alias->ttl);
    current = std::move(target.text);
  }
}

// What an answer without records has in its authority section. RFC 2308 §2.2: NS without SOA is no "there is none".
absl::Status ReadAuthority(absl::string_view message, Reader& reader, std::size_t count, Response* response) {
  bool servers = false;
  bool zone = false;
  for (std::size_t i = 0; i < std::min(count, kMaxRecords); ++i) {
    const auto record = TakeRecord(reader);
    if (!record.ok()) break;  // The answer itself is whole.
    servers |= record->type == RecordType::kNs;
    if (record->type != RecordType::kSoa) continue;
    zone = true;
    response->negative_ttl = NegativeTtl(message, *record);
  }
  const bool referral = servers && !zone && response->code == ResponseCode::kNoError;
  return referral ? Damaged("a referral to other servers") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<Response> ParseResponse(absl::string_view message, absl::string_view name, RecordType type) {
  if (message.size() < 12 || message.size() > kMaxMessage) return Damaged("bad size");
  Reader reader(message);
  reader.Take16();  // The id: matched by the transport.
  const std::uint16_t flags = reader.Take16();
  if ((flags & 0x8000) == 0) return Damaged("not a response");
  if ((flags & 0x0200) != 0) return Damaged("cut short, also over TCP");
  Response response;
  response.code = static_cast<ResponseCode>(flags & 0x0F);
  response.authenticated = (flags & 0x0020) != 0;
  const std::size_t questions = reader.Take16();
  const std::size_t answer_count = reader.Take16();
  const std::size_t authority_count = reader.Take16();
  reader.Take16();
  if (questions > 1) return Damaged("several questions");
  if (questions == 1) {
    RETURN_IF_ERROR(reader.TakeName().status());
    if (!reader.Has(4)) return Damaged("question cut short");
    reader.Take32();
  }

  ASSIGN_OR_RETURN(const std::vector<Record> answers, TakeAnswers(reader, answer_count));
  absl::Duration ttl = absl::InfiniteDuration();
  const bool alias_itself = type == RecordType::kCname;
  response.name = std::string(name);
  if (!alias_itself) {
    ASSIGN_OR_RETURN(response.name, FollowAliases(message, answers, name, ttl));
  }
  for (const Record& record : answers) {
    if (record.type != type || record.owner != response.name) continue;
    if (type == RecordType::kTxt && record.data_size > kMaxTextRecord) continue;
    ASSIGN_OR_RETURN(RecordData data, ReadData(message, record));
    ttl = std::min(ttl, record.ttl);
    response.records.push_back(std::move(data));
  }
  if (!response.records.empty()) {
    response.ttl = ttl;
    return response;
  }
  RETURN_IF_ERROR(ReadAuthority(message, reader, authority_count, &response));
  return response;
}

absl::StatusOr<std::string> NormaliseName(absl::string_view name) {
  const absl::string_view bare = absl::StripSuffix(name, ".");
  const auto wrong = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("not a domain name: ", why));
  };
  if (bare.empty()) return wrong("it is empty");
  if (bare.size() > kMaxName) return wrong("it is longer than 253 bytes");
  for (const absl::string_view label : absl::StrSplit(bare, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return wrong("a label is empty or longer than 63 bytes");
    const bool legal =
        std::all_of(label.begin(), label.end(), [](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_'; });
    if (!legal) return wrong("a label holds more than letters, digits, - and _");
  }
  return absl::AsciiStrToLower(bare);
}

std::string ReverseName(const address::IpAddress& address) {
  const absl::string_view bytes = address.bytes();
  std::string name;
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
    const unsigned value = static_cast<unsigned char>(*byte);
    if (address.is_v4()) {
      absl::StrAppend(&name, value, ".");
    } else {
      absl::StrAppendFormat(&name, "%x.%x.", value & 0xF, value >> 4);
    }
  }
  return name + (address.is_v4() ? "in-addr.arpa" : "ip6.arpa");
}

}  // namespace hikyaku::dns
