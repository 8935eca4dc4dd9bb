// The flags of `hikyaku serve`.
#include <memory>
#include <string>
#include <vector>

#include "lib/config/role.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/serve.h"

namespace hikyaku::cli {
namespace {

constexpr char kExamples[] =
    R"(Runs until SIGTERM or SIGINT, which drains and stops; SIGHUP reads the configuration again.
Logs to standard error, one line of JSON an event.

Examples:
  hikyaku serve --config /etc/hikyaku.yaml
  hikyaku serve --config /etc/hikyaku.yaml --role queue)";

}  // namespace

void AddServe(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("serve", "Run the service: all roles in one process, or one of them");
  app->footer(kExamples);
  struct Flags {
    std::string config;
    std::string role = "all";
  };
  const auto flags = std::make_shared<Flags>();
  app->add_option("--config", flags->config, "The configuration file (YAML)")->required()->envname("HIKYAKU_CONFIG");
  app->add_option("--role", flags->role, "all, submission, queue or delivery")
      ->check(CLI::IsMember({"all", "submission", "queue", "delivery"}))
      ->capture_default_str();
  commands->push_back(
      {app, [flags] { return Serve({.config_path = flags->config, .role = *config::ParseRole(flags->role)}); }});
}

}  // namespace hikyaku::cli
