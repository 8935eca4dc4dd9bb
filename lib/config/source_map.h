// Where each key of a configuration file stands, so that every complaint about a value can name its line: those of the
// loader, of Validate, and of a start that fails later ("port in use").
//
// Paths are written as in "listeners.smtp[0].address".
// Threading: a plain value.
#ifndef HIKYAKU_LIB_CONFIG_SOURCE_MAP_H_
#define HIKYAKU_LIB_CONFIG_SOURCE_MAP_H_

#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hikyaku::config {

class SourceMap {
 public:
  SourceMap() = default;
  explicit SourceMap(std::string file) : file_(std::move(file)) {}

  void Add(std::string path, int line) { lines_[std::move(path)] = line; }

  // Whether the file has this key.
  bool Has(absl::string_view path) const { return lines_.count(std::string(path)) > 0; }

  // kInvalidArgument "FILE:LINE: PATH: WHAT". The line is that of the key or, where the file lacks it, of the nearest
  // key around it; without any, "FILE: PATH: WHAT". `what` says what is wrong and what to do.
  absl::Status Error(absl::string_view path, absl::string_view what) const;

  const std::string& file() const { return file_; }

 private:
  std::string file_ = "configuration";
  std::map<std::string, int> lines_;  // Path → line, from 1.
};

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_SOURCE_MAP_H_
