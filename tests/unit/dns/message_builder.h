// Writes DNS responses for tests: a question, answers, perhaps a SOA; names uncompressed.
#ifndef HIKYAKU_TESTS_UNIT_DNS_MESSAGE_BUILDER_H_
#define HIKYAKU_TESTS_UNIT_DNS_MESSAGE_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "lib/address/literal.h"
#include "lib/dns/dns_message.h"

namespace hikyaku::dns {

class MessageBuilder {
 public:
  MessageBuilder(const std::string& name, RecordType type) : question_(Encode(name)) {
    question_ += Number16(static_cast<std::uint16_t>(type)) + Number16(1);
  }

  MessageBuilder& Code(int code) {
    flags_ = static_cast<std::uint16_t>((flags_ & ~0xF) | code);
    return *this;
  }
  MessageBuilder& Authenticated() {
    flags_ |= 0x20;
    return *this;
  }
  MessageBuilder& Mx(const std::string& owner, std::uint32_t ttl, std::uint16_t preference, const std::string& host) {
    return Answer(owner, RecordType::kMx, ttl, Number16(preference) + Encode(host));
  }
  MessageBuilder& Address(const std::string& owner, std::uint32_t ttl, const char* text) {
    const auto address = *address::IpAddress::Parse(text);
    return Answer(owner, address.is_v4() ? RecordType::kA : RecordType::kAaaa, ttl, std::string(address.bytes()));
  }
  MessageBuilder& Name(const std::string& owner, std::uint32_t ttl, RecordType type, const std::string& target) {
    return Answer(owner, type, ttl, Encode(target));
  }
  MessageBuilder& Txt(const std::string& owner, std::uint32_t ttl, const std::vector<std::string>& strings) {
    std::string data;
    for (const std::string& part : strings) data += static_cast<char>(part.size()) + part;
    return Answer(owner, RecordType::kTxt, ttl, data);
  }
  MessageBuilder& Tlsa(const std::string& owner, std::uint32_t ttl, const std::string& data) {
    return Answer(owner, RecordType::kTlsa, ttl, data);
  }
  MessageBuilder& Cut() {
    flags_ |= 0x200;
    return *this;
  }
  MessageBuilder& Servers(const std::string& owner) {
    authority_ += Record(owner, RecordType::kNs, 60, Encode("ns.test"));
    ++authority_count_;
    return *this;
  }
  MessageBuilder& Soa(const std::string& owner, std::uint32_t ttl, std::uint32_t minimum) {
    authority_ += Record(owner, RecordType::kSoa, ttl,
                         Encode("ns.test") + Encode("admin.test") + std::string(16, '\0') + Number32(minimum));
    ++authority_count_;
    return *this;
  }

  std::string Build() const {
    return Number16(0x1234) + Number16(flags_) + Number16(1) + Number16(answer_count_) +
           Number16(authority_count_) + Number16(0) + question_ + answers_ + authority_;
  }

 private:
  static std::string Number16(std::uint16_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
  }
  static std::string Number32(std::uint32_t value) { return Number16(value >> 16) + Number16(value & 0xFFFF); }

  static std::string Encode(const std::string& name) {
    std::string encoded;
    for (const absl::string_view part : absl::StrSplit(name, '.', absl::SkipEmpty())) {
      encoded += static_cast<char>(part.size()) + std::string(part);
    }
    return encoded + '\0';
  }

  static std::string Record(const std::string& owner, RecordType type, std::uint32_t ttl, const std::string& data) {
    return Encode(owner) + Number16(static_cast<std::uint16_t>(type)) + Number16(1) + Number32(ttl) +
           Number16(static_cast<std::uint16_t>(data.size())) + data;
  }

  MessageBuilder& Answer(const std::string& owner, RecordType type, std::uint32_t ttl, const std::string& data) {
    answers_ += Record(owner, type, ttl, data);
    ++answer_count_;
    return *this;
  }

  std::string question_;
  std::string answers_;
  std::string authority_;
  std::uint16_t answer_count_ = 0;
  std::uint16_t authority_count_ = 0;
  std::uint16_t flags_ = 0x8180;  // A response, recursion desired and available.
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_TESTS_UNIT_DNS_MESSAGE_BUILDER_H_
