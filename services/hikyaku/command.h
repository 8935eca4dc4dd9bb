// A subcommand: its flags, and what it does.
//
// Exit codes everywhere: 0 done, 1 failed, 2 wrong use or configuration.
#ifndef HIKYAKU_SERVICES_HIKYAKU_COMMAND_H_
#define HIKYAKU_SERVICES_HIKYAKU_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

namespace hikyaku::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// main runs the one whose `app` was named on the command line, after the flags were read into what `run` holds.
struct Command {
  CLI::App* app;
  std::function<int()> run;
};

// Each declares its subcommand below `parent`, and appends itself (or its own subcommands).
void AddServe(CLI::App* parent, std::vector<Command>* commands);
void AddSend(CLI::App* parent, std::vector<Command>* commands);
void AddQueue(CLI::App* parent, std::vector<Command>* commands);
void AddTrace(CLI::App* parent, std::vector<Command>* commands);
void AddConfig(CLI::App* parent, std::vector<Command>* commands);
void AddHealth(CLI::App* parent, std::vector<Command>* commands);
void AddDkim(CLI::App* parent, std::vector<Command>* commands);
void AddExplain(CLI::App* parent, std::vector<Command>* commands);
void AddSink(CLI::App* parent, std::vector<Command>* commands);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_COMMAND_H_
