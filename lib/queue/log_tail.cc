// RocksDB's log format (db/log_format.h): blocks of 32 KiB, each a row of fragments that do not cross its end; a rest
// of less than a header is padding. A fragment: masked CRC-32C of type and payload, length of the payload, type.
#include "lib/queue/log_tail.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/status_macros.h"

namespace hikyaku::queue {
namespace {

constexpr std::size_t kBlock = 32768;
constexpr std::size_t kHeader = 7;

// The payload of a record begins with the sequence number of its first entry and the number of entries.
constexpr std::size_t kBatchHeader = 12;
// How far ahead of the last whole record a later one may count: a bound for what is taken for a record at all.
constexpr std::uint64_t kNear = std::uint64_t{1} << 32;

static_assert(std::endian::native == std::endian::little, "the log is little-endian");

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

enum Type : unsigned char { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

// CRC-32C, eight bytes a step.
class Crc32c {
 public:
  Crc32c() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
      table_[0][i] = value;
    }
    for (std::size_t step = 1; step < table_.size(); ++step) {
      for (std::uint32_t i = 0; i < 256; ++i) {
        const std::uint32_t before = table_[step - 1][i];
        table_[step][i] = (before >> 8) ^ table_[0][before & 0xff];
      }
    }
  }

  std::uint32_t Of(absl::string_view bytes) const {
    std::uint32_t crc = 0xffffffffu;
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
      const std::uint64_t word = Load<std::uint64_t>(bytes.data()) ^ crc;
      crc = 0;
      for (std::size_t i = 0; i < 8; ++i) crc ^= table_[7 - i][(word >> (8 * i)) & 0xff];
    }
    for (const char byte : bytes) crc = (crc >> 8) ^ table_[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff];
    return ~crc;
  }

 private:
  std::array<std::array<std::uint32_t, 256>, 8> table_;
};

struct Fragment {
  Type type;
  absl::string_view payload;
  std::size_t end;  // In its block.

  bool begins() const { return type == kFull || type == kFirst; }
  bool ends() const { return type == kFull || type == kLast; }
  // Of a fragment that begins a record; 0: it cannot be one.
  std::uint64_t sequence() const { return payload.size() < kBatchHeader ? 0 : Load<std::uint64_t>(payload.data()); }
};

// The fragment at `at`, if its header makes sense; its checksum is not looked at.
std::optional<Fragment> FragmentAt(absl::string_view block, std::size_t at) {
  if (at + kHeader > block.size()) return std::nullopt;
  const std::size_t length = Load<std::uint16_t>(block.data() + at + 4);
  const auto type = static_cast<unsigned char>(block[at + 6]);
  if (type < kFull || type > kLast || at + kHeader + length > block.size()) return std::nullopt;
  return Fragment{static_cast<Type>(type), block.substr(at + kHeader, length), at + kHeader + length};
}

bool IsWhole(absl::string_view block, std::size_t at, const Fragment& fragment) {
  static const Crc32c crc32c;
  const std::uint32_t crc = crc32c.Of(block.substr(at + 6, 1 + fragment.payload.size()));
  return Load<std::uint32_t>(block.data() + at) == ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

// Reads a log block by block.
class Walk {
 public:
  // False: damage; a whole record stands behind a bad place.
  bool Take(absl::string_view block) {
    std::size_t at = 0;
    while (!bad_ && at + kHeader <= block.size()) {
      const std::optional<Fragment> fragment = FragmentAt(block, at);
      bad_ = !fragment.has_value() || !IsWhole(block, at, *fragment) || fragment->begins() == inside_;
      if (bad_) break;
      Accept(*fragment);
      at = fragment->end;
      if (fragment->ends()) whole_ = before_ + at;
    }
    if (bad_ && (EndsSplit(block) || AnyRecord(block, at))) return false;
    before_ += block.size();
    // What is left in a block is padding, not a torn record.
    if (!bad_ && !inside_ && block.size() == kBlock) whole_ = before_;
    return true;
  }

  std::uint64_t whole() const { return whole_; }

 private:
  void Accept(const Fragment& fragment) {
    inside_ = !fragment.ends();
    if (fragment.begins()) sequence_ = std::max(sequence_, fragment.sequence());
  }

  // Whether a record that was written later begins whole anywhere from `at` on.
  bool AnyRecord(absl::string_view block, std::size_t at) {
    for (; at + kHeader <= block.size(); ++at) {
      const std::optional<Fragment> fragment = FragmentAt(block, at);
      if (!fragment.has_value() || !fragment->begins()) continue;
      const bool split = fragment->type == kFirst && fragment->end == kBlock && fragment->payload.size() < kBatchHeader;
      if (!split && !IsLater(fragment->sequence())) continue;
      if (!IsWhole(block, at, *fragment)) continue;
      if (!split) return true;
      split_ = std::string(fragment->payload);
    }
    return false;
  }

  // Whether `block` goes on with a record of which the block before had so little that its sequence number is cut.
  bool EndsSplit(absl::string_view block) {
    const std::optional<std::string> begun = std::exchange(split_, std::nullopt);
    if (!begun.has_value()) return false;
    const std::optional<Fragment> fragment = FragmentAt(block, 0);
    if (!fragment.has_value() || fragment->begins() || !IsWhole(block, 0, *fragment)) return false;
    const std::string header = absl::StrCat(*begun, fragment->payload.substr(0, kBatchHeader));
    return header.size() >= kBatchHeader && IsLater(Load<std::uint64_t>(header.data()));
  }

  // Before the first whole record, how far the count has come is not known.
  bool IsLater(std::uint64_t sequence) const {
    return sequence > sequence_ && (sequence_ == 0 || sequence - sequence_ <= kNear);
  }

  bool bad_ = false;
  bool inside_ = false;               // Of a record whose end has not come.
  std::optional<std::string> split_;  // The payload at a block's end of a record that may have begun there.
  std::uint64_t sequence_ = 0;        // Of the last record that began.
  std::uint64_t before_ = 0;          // Bytes of the blocks that were taken.
  std::uint64_t whole_ = 0;
};

absl::Status Unreadable(absl::string_view what, const std::string& why) {
  return absl::UnavailableError(absl::StrCat("cannot read ", what, why.empty() ? "" : ": ", why));
}

// The logs in `dir`, oldest first.
absl::StatusOr<std::vector<std::string>> Logs(const std::string& dir) {
  std::vector<std::pair<std::uint64_t, std::string>> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::uint64_t number = 0;
    if (it->path().extension() != ".log" || !absl::SimpleAtoi(it->path().stem().string(), &number)) continue;
    found.emplace_back(number, it->path().string());
  }
  if (error) return Unreadable(dir, error.message());
  std::sort(found.begin(), found.end());
  std::vector<std::string> files;
  for (auto& [number, file] : found) files.push_back(std::move(file));
  return files;
}

absl::StatusOr<LogTail> Inspect(const std::string& file) {
  LogTail tail;
  tail.file = file;
  std::ifstream log(file, std::ios::binary);
  if (!log) return Unreadable(file, "");
  Walk walk;
  std::string block(kBlock, '\0');
  while (log) {
    log.read(block.data(), kBlock);
    const auto read = static_cast<std::size_t>(log.gcount());
    if (read == 0) break;
    if (!walk.Take(absl::string_view(block).substr(0, read))) {
      return absl::DataLossError(
          absl::StrCat(file, ": damaged behind byte ", walk.whole(), ", with whole commits after the damage"));
    }
    tail.size += read;
  }
  if (log.bad()) return Unreadable(file, "read error");
  tail.whole = walk.whole();
  return tail;
}

}  // namespace

absl::StatusOr<LogTail> InspectLogs(const std::string& dir) {
  ASSIGN_OR_RETURN(const std::vector<std::string> files, Logs(dir));
  if (files.empty()) return LogTail();
  ASSIGN_OR_RETURN(LogTail newest, Inspect(files.back()));
  if (!newest.torn()) return newest;  // RocksDB itself finds what is wrong with the others.
  for (std::size_t i = 0; i + 1 < files.size(); ++i) {
    ASSIGN_OR_RETURN(const LogTail older, Inspect(files[i]));
    if (older.torn()) {
      return absl::DataLossError(absl::StrCat(older.file, ": damaged behind byte ", older.whole, ", with a newer log"));
    }
  }
  return newest;
}

}  // namespace hikyaku::queue
