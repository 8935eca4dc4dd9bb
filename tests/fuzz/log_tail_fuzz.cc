// The end of a write-ahead log: a log that was made here and torn in its last record loses that record and no other;
// one that was damaged before it is refused. Any other bytes are read to their end, and what was found whole stays
// whole.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/queue/log_tail.h"
#include "tests/fuzz/input.h"

namespace {

using hikyaku::fuzz::Input;
using hikyaku::queue::InspectLogs;
using hikyaku::queue::LogTail;

constexpr std::size_t kBlock = 32768;
constexpr std::size_t kHeader = 7;

// RocksDB's log, written as its db/log_writer.cc does, with a CRC-32C a bit at a time.
class Log {
 public:
  // Where the record begins.
  std::size_t Add(std::uint64_t sequence, std::size_t size, char fill) {
    std::string payload;
    for (int i = 0; i < 8; ++i) payload.push_back(static_cast<char>(sequence >> (8 * i)));
    payload.append(std::string("\1\0\0\0", 4)).append(size, fill);
    std::size_t start = std::string::npos;
    absl::string_view left = payload;
    for (bool first = true; first || !left.empty(); first = false) {
      const std::size_t room = kBlock - bytes_.size() % kBlock;
      if (room < kHeader) bytes_.append(room, '\0');
      if (first) start = bytes_.size();
      const std::size_t length = std::min(left.size(), kBlock - bytes_.size() % kBlock - kHeader);
      const bool last = length == left.size();
      AddFragment(first ? (last ? 1 : 2) : (last ? 4 : 3), left.substr(0, length));
      left.remove_prefix(length);
    }
    return start;
  }

  std::string& bytes() { return bytes_; }

 private:
  void AddFragment(char type, absl::string_view payload) {
    std::uint32_t crc = 0xffffffffu;
    for (const char c : absl::StrCat(std::string(1, type), payload)) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    const std::uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<char>(masked >> (8 * i)));
    bytes_.push_back(static_cast<char>(payload.size()));
    bytes_.push_back(static_cast<char>(payload.size() >> 8));
    bytes_.push_back(type);
    absl::StrAppend(&bytes_, payload);
  }

  std::string bytes_;
};

absl::StatusOr<LogTail> Read(absl::string_view bytes) {
  static const std::string folder = [] {
    const std::string made = absl::StrCat(std::filesystem::temp_directory_path().string(), "/log_tail_fuzz.", getpid());
    std::filesystem::create_directories(made);
    return made;
  }();
  std::ofstream(folder + "/000007.log", std::ios::binary | std::ios::trunc) << std::string(bytes);
  return InspectLogs(folder);
}

void ReadAnything(absl::string_view bytes) {
  const auto tail = Read(bytes);
  if (!tail.ok()) {
    HIKYAKU_CHECK(absl::IsDataLoss(tail.status()));
    return;
  }
  HIKYAKU_CHECK(tail->size == bytes.size() && tail->whole <= tail->size);
  const auto again = Read(bytes.substr(0, tail->whole));
  HIKYAKU_CHECK(again.ok() && !again->torn());
}

void TearAndDamage(Input& input) {
  Log log;
  std::vector<std::size_t> starts;
  std::uint64_t sequence = 1 + input.Number(4);
  for (int records = 2 + input.Byte() % 4; records > 0; --records) {
    starts.push_back(log.Add(sequence, input.Number(2), 'b'));
    sequence += 1 + input.Byte();
  }
  std::string& bytes = log.bytes();
  const auto sound = Read(bytes);
  HIKYAKU_CHECK(sound.ok() && !sound->torn() && sound->size == bytes.size());

  const std::size_t last = starts.back(), size = bytes.size() - last;
  const std::size_t at = last + input.Number(4) % size;
  std::string torn = bytes;
  if (input.Flag()) torn.resize(at);
  for (std::size_t i = at, end = at + 1 + input.Number(2); i < std::min(end, torn.size()); ++i) torn[i] = '\0';
  if (torn != bytes) {
    const auto tail = Read(torn);
    // Padding before the last record may count or not.
    HIKYAKU_CHECK(tail.ok() && tail->whole <= last && tail->whole + kHeader > last);
  }

  // One bit before the last record, which proves that what is before it had been whole.
  const std::size_t victim = starts[input.Byte() % (starts.size() - 1)];
  const std::size_t next = *std::upper_bound(starts.begin(), starts.end(), victim);
  std::string damaged = bytes;
  damaged[victim + input.Number(4) % (next - victim - std::min<std::size_t>(kHeader, next - victim - 1))] ^= 0x10;
  HIKYAKU_CHECK(absl::IsDataLoss(Read(damaged).status()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  if (input.Flag()) {
    TearAndDamage(input);
  } else {
    ReadAnything(input.rest());
  }
  return 0;
}
