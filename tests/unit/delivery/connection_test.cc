#include "lib/delivery/connection.h"

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/net/memory_stream.h"
#include "lib/net/sleep.h"
#include "lib/net/task_group.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

// Dialogue to the body, of which it takes 40 times 1 KiB each 10 ms, then the rest at once; goes when nothing more
// comes.
awaitable<void> TakeSlowly(std::unique_ptr<net::MemoryStream> stream) {
  char buffer[1024];
  const std::vector<std::string> replies{"220 x\r\n", "250 x\r\n", "250 a\r\n", "250 b\r\n", "354 c\r\n"};
  for (const std::string& reply : replies) {
    const absl::Status written = co_await stream->WriteAll(reply, kLong);
    if (!written.ok()) co_return;
    const auto got = co_await stream->ReadSome(buffer, sizeof(buffer), kLong);
    if (!got.ok()) co_return;
  }
  for (int i = 0;; ++i) {
    const auto got = co_await stream->ReadSome(buffer, sizeof(buffer), absl::Milliseconds(50));
    if (!got.ok()) co_return;
    if (i < 40) co_await net::Sleep(absl::Milliseconds(10));
  }
}

class Held : public LeaseGuard {
 public:
  bool Begin() override { return true; }
  bool alive() const override { return true; }
};

awaitable<bool> OpenAndTransact(Connection& connection, const smtp::Outgoing& mail) {
  co_await connection.Open();
  const Held lease;
  co_return co_await connection.Transact(mail, lease);
}

// RFC 5321 §4.5.3.2.5 limits each write, whatever moves meanwhile: else a peer could make it last for days.
TEST(Connection, BlockThatIsTakenDropByDropMeetsItsLimit) {
  boost::asio::io_context context;
  auto [ours, theirs] = net::MakeMemoryPair(context.get_executor());
  net::TaskGroup group;
  group.Spawn(context.get_executor(), TakeSlowly(std::move(theirs)));
  smtp::ClientTimeouts timeouts;
  timeouts.block = absl::Milliseconds(100);
  const std::string body(1'000'000, 'x');
  const smtp::Outgoing mail{"a@ours.test", {"b@d.test"}, "Subject: x\r\n\r\n", body};
  {
    Connection connection({"mx.test", {}, {}}, std::move(ours), "us.test", timeouts);
    EXPECT_TRUE(net::RunTask(context, OpenAndTransact(connection, mail)));
    EXPECT_FALSE(connection.session().result().committed);
    EXPECT_FALSE(connection.peer_closed());
    EXPECT_FALSE(connection.session().reusable());
  }
  while (group.size() > 0) {
    context.restart();
    context.run_one();
  }
}

}  // namespace
}  // namespace hikyaku::delivery
