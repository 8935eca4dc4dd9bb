// Whatever is read as an address, a domain or an IP address reads back as the same one from its canonical form, and
// holds nothing that could break a command line or a header.
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/address/address.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"
#include "lib/address/mailbox.h"
#include "lib/address/special_ranges.h"
#include "lib/base/check.h"
#include "lib/base/utf8.h"
#include "tests/fuzz/oracle.h"

namespace {

using namespace hikyaku::address;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckAddress(const Address& address) {
  const std::string written = address.ToString();
  for (const char c : written) HIKYAKU_CHECK(!hikyaku::fuzz::IsControl(c));
  HIKYAKU_CHECK(hikyaku::IsValidUtf8(written) && written.size() <= kMaxAddressOctets);
  HIKYAKU_CHECK(address.literal == (address.domain[0] == '['));
  const auto again = ParseAddress(written);
  HIKYAKU_CHECK(again.ok() && *again == address && again->ToString() == written);
  const std::string command = absl::StrCat("<", written, "> SIZE=1");
  const auto path = ParsePath(command, {});
  HIKYAKU_CHECK(path.ok() && path->address == address && path->rest == " SIZE=1");
}

void CheckPath(absl::string_view text) {
  const auto path = ParsePath(text, {.allow_null = true, .allow_postmaster = true});
  if (!path.ok()) return;
  HIKYAKU_CHECK(text[0] == '<' && absl::EndsWith(text, path->rest));
  HIKYAKU_CHECK(path->null == path->address.empty());
  if (!path->null && !path->bare_postmaster) CheckAddress(path->address);
}

void CheckDomain(absl::string_view text) {
  const auto label = ToALabel(text);
  if (!label.ok()) return;
  HIKYAKU_CHECK(!label->empty() && label->size() <= kMaxDomainOctets);
  for (const char c : *label) HIKYAKU_CHECK((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.');
  HIKYAKU_CHECK(!IpAddress::Parse(*label).ok());
  const auto again = ToALabel(*label);
  HIKYAKU_CHECK(again.ok() && *again == *label);
  HIKYAKU_CHECK(hikyaku::IsValidUtf8(ToULabel(*label)));
}

void CheckIp(absl::string_view text) {
  if (const auto ip = IpAddress::Parse(text); ip.ok()) {
    const auto again = IpAddress::Parse(ip->ToString());
    HIKYAKU_CHECK(again.ok() && *again == *ip);
    const auto literal = ParseAddressLiteral(ip->ToLiteral());
    HIKYAKU_CHECK(literal.ok() && *literal == *ip);
    HIKYAKU_CHECK(IpAddress::FromBytes(ip->bytes()) == *ip);
    if (ip->Unmapped() != *ip) HIKYAKU_CHECK(IsSpecialPurpose(*ip) == IsSpecialPurpose(ip->Unmapped()));
  }
  if (const auto range = Cidr::Parse(text); range.ok()) {
    const auto again = Cidr::Parse(range->ToString());
    HIKYAKU_CHECK(again.ok() && *again == *range);
  }
  if (const auto literal = ParseAddressLiteral(text); literal.ok()) {
    HIKYAKU_CHECK(text[0] == '[' && text[text.size() - 1] == ']');
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = ParseAddress(text); address.ok()) CheckAddress(*address);
  CheckPath(text);
  CheckDomain(text);
  CheckIp(text);
  if (const auto mailboxes = ParseMailboxList(text); mailboxes.ok()) {
    HIKYAKU_CHECK(mailboxes->size() <= kMaxMailboxes);
    for (const Mailbox& mailbox : *mailboxes) CheckAddress(mailbox.address);
  }
  if (const auto mailbox = ParseMailbox(text); mailbox.ok()) {
    const auto list = ParseMailboxList(text);
    HIKYAKU_CHECK(list.ok() && list->size() == 1 && list->front() == *mailbox);
  }
  return 0;
}
