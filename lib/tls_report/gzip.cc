#include "lib/tls_report/gzip.h"

#include <zlib.h>

#include <cstddef>

#include "lib/base/check.h"

namespace hikyaku::tls_report {
namespace {

constexpr int kGzipWindow = 15 + 16;  // The largest window, with the frame of gzip around it.
constexpr int kMemory = 8;            // zlib's default.
constexpr std::size_t kMaxText = std::size_t{1} << 30;

}  // namespace

std::string Gzip(absl::string_view text) {
  HIKYAKU_CHECK(text.size() < kMaxText);
  z_stream stream = {};
  HIKYAKU_CHECK(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemory, Z_DEFAULT_STRATEGY) ==
                Z_OK);
  std::string packed(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  // zlib reads through this pointer only; its type dates from before const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  HIKYAKU_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace hikyaku::tls_report
