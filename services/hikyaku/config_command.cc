// `hikyaku config check|print`.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "lib/config/effective.h"
#include "lib/config/print.h"
#include "lib/config/role.h"
#include "services/hikyaku/command.h"

namespace hikyaku::cli {
namespace {

struct ConfigFlags {
  std::string file;
  std::string role = "all";
};

constexpr char kCheckHelp[] =
    R"(Says nothing but "ok" and exits with 0, or names the first fault with its line and exits with 2.

Examples:
  hikyaku config check /etc/hikyaku.yaml
  hikyaku config check --role delivery /etc/hikyaku.yaml)";

constexpr char kPrintHelp[] =
    R"(Every key with the value that counts, defaults included, as YAML that can be used again.

Examples:
  hikyaku config print /etc/hikyaku.yaml
  hikyaku config print --role queue /etc/hikyaku.yaml)";

int RunConfig(const ConfigFlags& flags, bool print) {
  const absl::StatusOr<config::LoadedConfig> loaded =
      config::LoadEffectiveConfig(flags.file, *config::ParseRole(flags.role));
  if (!loaded.ok()) {
    std::fprintf(stderr, "hikyaku: %s\n", std::string(loaded.status().message()).c_str());
    return kExitUsage;
  }
  std::fputs(print ? config::PrintConfig(loaded->config).c_str() : "ok\n", stdout);
  return kExitDone;
}

void AddOne(CLI::App* app, const char* help, bool print, std::vector<Command>* commands) {
  app->footer(help);
  const auto flags = std::make_shared<ConfigFlags>();
  app->add_option("FILE", flags->file, "The configuration file (YAML)")->required();
  app->add_option("--role", flags->role, "For which role: all, submission, queue or delivery")
      ->check(CLI::IsMember({"all", "submission", "queue", "delivery"}))
      ->capture_default_str();
  commands->push_back({app, [flags, print] { return RunConfig(*flags, print); }});
}

}  // namespace

void AddConfig(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("config", "Check a configuration file, or print what it amounts to");
  app->require_subcommand(1);
  AddOne(app->add_subcommand("check", "Is the file right?"), kCheckHelp, false, commands);
  AddOne(app->add_subcommand("print", "Print the effective configuration"), kPrintHelp, true, commands);
}

}  // namespace hikyaku::cli
