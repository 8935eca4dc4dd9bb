#include "services/hikyaku/listen_check.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace hikyaku::cli {
namespace {

// A port that is in use as long as this lives.
class UsedPort {
 public:
  UsedPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size);
    address = absl::StrCat("127.0.0.1:", ntohs(at.sin_port));
  }
  ~UsedPort() { close(fd_); }

  std::string address;

 private:
  int fd_;
};

TEST(CheckListeners, NamesTheKeyOfAPortInUse) {
  const UsedPort port;
  config::SourceMap source("f");
  source.Add("listeners.smtp[1]", 7);
  v1::Config config;
  config.mutable_listeners()->add_smtp()->set_address("127.0.0.1:0");
  config.mutable_listeners()->add_smtp()->set_address(port.address);
  EXPECT_EQ(CheckListeners(config, config::Role::kAll, source).message(),
            absl::StrCat("f:7: listeners.smtp[1].address: ", port.address,
                         " is in use: stop the other process, or write another port"));
  EXPECT_TRUE(CheckListeners(config, config::Role::kQueue, source).ok());  // Does not open it.
}

TEST(CheckListeners, NamesTheKeyOfAStrangeAddress) {
  v1::Config config;
  config.mutable_listeners()->add_http()->set_address("192.0.2.1:8025");
  EXPECT_EQ(CheckListeners(config, config::Role::kDelivery, config::SourceMap("f")).message(),
            "f: listeners.http[0].address: 192.0.2.1:8025 is no address of this machine: write one of its own");
}

}  // namespace
}  // namespace hikyaku::cli
