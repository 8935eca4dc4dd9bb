// `hikyaku health`: asks a running process whether it lives, for container engines: the image has no other HTTP client.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/net/endpoint.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/text.h"

namespace hikyaku::cli {
namespace {

constexpr timeval kLimit{3, 0};            // Of each step: less than what engines wait for a health check.
constexpr std::size_t kMaxAnswer = 16384;  // Far more than these pages have.

struct HealthFlags {
  std::string server = "127.0.0.1:8025";
  bool ready = false;
};

constexpr char kExamples[] = R"(Exits with 0 if the process answers that it is well, else with 1.

Examples:
  hikyaku health
  hikyaku health --ready --server 127.0.0.1:8025)";

int Complain(const HealthFlags& flags, absl::string_view what) {
  std::fprintf(stderr, "hikyaku: %s: %s\n", flags.server.c_str(), Printable(what).c_str());
  return kExitFailed;
}

// A connected socket, or -1 with errno.
int Dial(const net::Endpoint& to) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_in);
  if (to.address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(to.port);
    std::memcpy(&in.sin_addr, to.address.bytes().data(), 4);
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(to.port);
    std::memcpy(&in6.sin6_addr, to.address.bytes().data(), 16);
    size = sizeof(sockaddr_in6);
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof kLimit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kLimit, sizeof kLimit);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// All that the server says until it closes; empty with errno when it says nothing in time.
std::string Ask(int fd, const std::string& request) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return "";
  std::string answer;
  char bytes[1024];
  ssize_t got;
  while (answer.size() < kMaxAnswer && (got = recv(fd, bytes, sizeof bytes, 0)) > 0) answer.append(bytes, got);
  return answer;
}

int RunHealth(const HealthFlags& flags) {
  const absl::StatusOr<net::Endpoint> at = net::ParseEndpoint(flags.server);
  if (!at.ok()) {
    std::fprintf(stderr, "hikyaku: --server: %s\n", std::string(at.status().message()).c_str());
    return kExitUsage;
  }
  const int fd = Dial(*at);
  if (fd < 0) return Complain(flags, std::strerror(errno));
  errno = 0;
  const std::string answer = Ask(fd, absl::StrCat("GET /", flags.ready ? "readyz" : "healthz",
                                                  " HTTP/1.1\r\nHost: hikyaku\r\nConnection: close\r\n\r\n"));
  const int error = errno;
  close(fd);
  if (answer.empty()) return Complain(flags, absl::StrCat("no answer: ", std::strerror(error)));
  const std::size_t body = answer.find("\r\n\r\n");
  const std::string text = body == std::string::npos ? answer : answer.substr(body + 4);
  if (!absl::StartsWith(answer, "HTTP/1.1 200 ")) return Complain(flags, text.substr(0, text.find('\n')));
  std::fputs("ok\n", stdout);
  return kExitDone;
}

}  // namespace

void AddHealth(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("health", "Ask a running process whether it lives, or takes work");
  app->footer(kExamples);
  const auto flags = std::make_shared<HealthFlags>();
  app->add_option("--server", flags->server, "IP:PORT of its HTTP listener")->capture_default_str();
  app->add_flag("--ready", flags->ready, "Ask whether it should get work (/readyz), not only whether it lives");
  commands->push_back({app, [flags] { return RunHealth(*flags); }});
}

}  // namespace hikyaku::cli
