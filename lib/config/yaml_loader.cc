#include "lib/config/yaml_loader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>
#include <utility>

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

// Sees only where the root of a document stands.
class RootMark : public YAML::EventHandler {
 public:
  const YAML::Mark& mark() const { return mark_; }

  void OnDocumentStart(const YAML::Mark&) override { mark_ = YAML::Mark::null_mark(); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Note(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override { Note(mark); }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    Note(mark);
  }
  void OnMapEnd() override {}

 private:
  void Note(const YAML::Mark& mark) {
    if (mark_.is_null()) mark_ = mark;
  }

  YAML::Mark mark_ = YAML::Mark::null_mark();
};

// Not YAML::LoadAll: at a stray comma or bracket yaml-cpp 0.7 gives empty documents without end. Two are enough to
// refuse.
absl::Status CheckOneDocument(const std::string& text, const std::string& file) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  RootMark root;
  if (!parser.HandleNextDocument(root) || !parser.HandleNextDocument(root)) return absl::OkStatus();
  const YAML::Mark& second = root.mark();
  const int line = second.is_null() ? 1 : second.line + 1;
  const std::string at = second.is_null() ? "" : text.substr(std::min<std::size_t>(second.pos, text.size()), 1);
  if (at == "," || at == "]" || at == "}") {
    return ErrorAt(file, line, absl::StrCat("is not YAML: a stray ", at, " stands here: remove it"));
  }
  return ErrorAt(file, line, "a second document begins here: keep one, without --- between");
}

absl::StatusOr<YAML::Node> ParseYaml(absl::string_view text, const std::string& file) {
  const std::string bytes(text);
  try {
    RETURN_IF_ERROR(CheckOneDocument(bytes, file));
    return YAML::Load(bytes);
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
