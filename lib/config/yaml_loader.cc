#include "lib/config/yaml_loader.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/config/yaml_mapper.h"

namespace hikyaku::config {
namespace {

absl::Status ErrorAt(const std::string& file, int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", what));
}

// yaml-cpp does not complain about bytes that no editor shows: they would end up in names and addresses.
absl::Status CheckCharacters(absl::string_view text, const std::string& file) {
  int line = 1;
  while (!text.empty()) {
    const std::optional<char32_t> c = TakeUtf8(text);
    if (!c) return ErrorAt(file, line, "is not valid UTF-8: save the file as UTF-8");
    if (*c == '\n') ++line;
    const bool control = (*c < 0x20 && *c != '\n' && *c != '\r' && *c != '\t') || *c == 0x7f;
    if (control) return ErrorAt(file, line, "a control character stands here: remove it");
  }
  return absl::OkStatus();
}

absl::StatusOr<YAML::Node> ParseYaml(absl::string_view text, const std::string& file) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty()) return YAML::Node();
    if (documents.size() > 1) {
      const YAML::Mark& second = documents[1].Mark();
      return ErrorAt(file, second.is_null() ? 1 : second.line + 1,
                     "a second document begins here: keep one, without --- between");
    }
    return documents[0];
  } catch (const YAML::Exception& e) {
    return ErrorAt(
        file, e.mark.is_null() ? 1 : e.mark.line + 1,
        absl::StrCat("is not YAML: ", e.msg, ": check the indentation (spaces, no tabs), quotes and colons"));
  }
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

absl::StatusOr<LoadedConfig> ParseConfig(absl::string_view text, std::string file) {
  RETURN_IF_ERROR(CheckCharacters(text, file));
  ASSIGN_OR_RETURN(const YAML::Node root, ParseYaml(text, file));
  LoadedConfig loaded{.config = {}, .source = SourceMap(file)};
  if (!root.IsNull() && !root.IsMap()) {
    return ErrorAt(file, root.Mark().line + 1,
                   "is no group of keys: write KEY: VALUE lines, as in hostname: mail.example.jp");
  }
  try {
    RETURN_IF_ERROR(MapYaml(root, &loaded.config, &loaded.source));
  } catch (const YAML::Exception& e) {
    return ErrorAt(file, e.mark.is_null() ? 1 : e.mark.line + 1, absl::StrCat("cannot be read: ", e.msg));
  }
  return loaded;
}

absl::StatusOr<LoadedConfig> LoadConfigFile(const std::string& path) {
  const auto unreadable = [&](int error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": cannot be read: ", std::strerror(error), ": check --config and the file's permissions"));
  };
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return unreadable(errno);
  std::string text(kMaxFileSize + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) return unreadable(errno);
  if (text.size() > kMaxFileSize) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is larger than 1MiB: this is not a configuration file"));
  }
  return ParseConfig(text, path);
}

}  // namespace hikyaku::config
