// What is submitted whole (RFC 6409): what passes has a sound form and keeps every byte that may travel; what is
// converted for peers without 8BITMIME is 7-bit and still the same message.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/mime/downgrade.h"
#include "lib/mime/header.h"
#include "lib/mime/submitted.h"
#include "lib/mime/text.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::mime::Downgrade8Bit;
using hikyaku::mime::HeaderField;
using hikyaku::mime::HeaderFields;
using hikyaku::mime::IsAscii;
using hikyaku::mime::PrepareSubmitted;
using hikyaku::mime::SubmitOptions;

SubmitOptions Options() {
  SubmitOptions options;
  options.received = "Received: from c.test by mx.test;\r\n\tTue, 05 Mar 2024 09:08:07 +0000\r\n";
  options.date = "Tue, 05 Mar 2024 09:08:07 +0000";
  options.message_id = "<id@mx.test>";
  return options;
}

// The fields that may travel, in order, and the body: what preparation must not touch.
std::string WhatTravels(absl::string_view message) {
  const auto header = HeaderFields::Parse(message);
  HIKYAKU_CHECK(header.ok());
  std::string kept;
  for (const HeaderField& field : header->fields()) {
    const bool replaced = (field.Is("Date") || field.Is("Message-ID")) && field.Unfolded().empty();
    const bool blind = field.Is("Bcc") || field.Is("Resent-Bcc") || field.Is("Return-Path");
    if (!replaced && !blind) absl::StrAppend(&kept, field.raw);
  }
  return absl::StrCat(kept, message.substr(header->header().size()));
}

void CheckPrepared(std::string submitted) {
  auto prepared = PrepareSubmitted(submitted, Options());
  if (!prepared.ok()) return;
  if (!absl::EndsWith(submitted, "\r\n")) submitted += "\r\n";
  HIKYAKU_CHECK(prepared->body == WhatTravels(submitted));
  HIKYAKU_CHECK(!prepared->from_addresses.empty());
  const bool has_8bit = prepared->has_8bit, smtputf8 = prepared->needs_smtputf8;
  const std::string whole = std::move(*prepared).Assemble();
  HIKYAKU_CHECK(!hikyaku::fuzz::HasBareLineEnd(whole) && whole.find('\0') == std::string::npos);
  HIKYAKU_CHECK(hikyaku::fuzz::LongestLine(whole) <= hikyaku::mime::kMaxLine && absl::EndsWith(whole, "\r\n"));
  const auto header = HeaderFields::Parse(whole);
  HIKYAKU_CHECK(header.ok() && header->Count("From") == 1 && header->Count("Bcc") == 0);
  HIKYAKU_CHECK(header->Count("Date") == 1 && header->Count("Message-ID") == 1);
  HIKYAKU_CHECK(has_8bit == !IsAscii(whole) && smtputf8 == !IsAscii(header->header()));
  // The next host that prepares it adds its trace and nothing else.
  const auto again = PrepareSubmitted(whole, Options());
  HIKYAKU_CHECK(again.ok() || absl::IsFailedPrecondition(again.status()));
  if (again.ok()) HIKYAKU_CHECK(again->body == whole && again->head == Options().received);
}

void CheckDowngraded(absl::string_view message) {
  const auto plain = Downgrade8Bit(message);
  if (!plain.ok()) {
    HIKYAKU_CHECK(absl::IsFailedPrecondition(plain.status()));
    return;
  }
  HIKYAKU_CHECK(IsAscii(*plain));
  if (IsAscii(message)) {
    HIKYAKU_CHECK(*plain == absl::StrCat(message, absl::EndsWith(message, "\r\n") ? "" : "\r\n"));
    return;
  }
  const auto before = HeaderFields::Parse(message), after = HeaderFields::Parse(*plain);
  HIKYAKU_CHECK(before.ok() && after.ok());
  for (const HeaderField& field : before->fields()) {
    if (field.Is("Content-Transfer-Encoding")) continue;
    HIKYAKU_CHECK(after->Count(field.name) >= before->Count(field.name));
  }
  const auto again = Downgrade8Bit(*plain);
  HIKYAKU_CHECK(again.ok() && *again == *plain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckPrepared(std::string(text));
  CheckDowngraded(text);
  return 0;
}
