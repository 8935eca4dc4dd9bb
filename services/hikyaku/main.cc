// The one program of Hikyaku: `hikyaku serve` runs a role, the other commands ask and test one.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "lib/config/nearest.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/text.h"
#include "services/hikyaku/version.h"

namespace hikyaku::cli {
namespace {

constexpr char kExamples[] = R"(Examples:
  hikyaku serve --config /etc/hikyaku.yaml
  hikyaku send --from app@example.jp --to you@example.com --subject Hello --text 'It works.' --wait
  hikyaku queue list
  hikyaku trace 01jd0c5d2x7wq8k3v9m4n6p0rt
  hikyaku config check /etc/hikyaku.yaml
  hikyaku dkim keygen example.com --selector k2026a --folder /etc/hikyaku/dkim

Each command has its own --help. Exit codes: 0 done, 1 failed, 2 wrong use or configuration.)";

// The parts of the command line that was given, from the program to the command that is meant.
const CLI::App* Named(const CLI::App* app) {
  const std::vector<CLI::App*> below = app->get_subcommands();
  return below.empty() ? app : Named(below.front());
}

// "unknown command "lst"; did you mean list?", where a word stands in the place of a subcommand.
std::string UnknownCommand(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining();
  const std::vector<const CLI::App*> below = app.get_subcommands({});
  if (left.empty() || below.empty() || left[0].empty() || left[0][0] == '-') return "";
  std::vector<std::string> names;
  for (const CLI::App* sub : below) names.push_back(sub->get_name());
  return "unknown command \"" + Printable(left[0], 60) + "\"; " + config::Suggest(left[0], names);
}

// CLI11 has many codes of its own; for us, all but help and version are wrong use.
int Explain(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
  std::string name;
  for (const CLI::App* at = Named(&app); at != nullptr; at = at->get_parent()) {
    name = name.empty() ? at->get_name() : at->get_name() + " " + name;
  }
  const std::string unknown = UnknownCommand(*Named(&app));
  std::fprintf(stderr, "%s: %s\nSee %s --help\n", name.c_str(), unknown.empty() ? error.what() : unknown.c_str(),
               name.c_str());
  return kExitUsage;
}

int Main(int argc, char** argv) {
  CLI::App app("Hikyaku: takes mail from your services, keeps it safe, and delivers it.", "hikyaku");
  app.footer(kExamples);
  app.set_version_flag("--version", kVersion, "Print the version");
  app.require_subcommand(1);
  std::vector<Command> commands;
  AddServe(&app, &commands);
  AddSend(&app, &commands);
  AddTrace(&app, &commands);
  AddQueue(&app, &commands);
  AddConfig(&app, &commands);
  AddHealth(&app, &commands);
  AddDkim(&app, &commands);
  AddExplain(&app, &commands);
  AddSink(&app, &commands);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  const CLI::App* named = Named(&app);
  for (const Command& command : commands) {
    if (command.app == named) return command.run();
  }
  return kExitUsage;
}

}  // namespace
}  // namespace hikyaku::cli

int main(int argc, char** argv) { return hikyaku::cli::Main(argc, argv); }
