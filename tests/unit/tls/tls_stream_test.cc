#include "lib/tls/tls_stream.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "lib/net/memory_stream.h"
#include "tests/unit/net/run.h"
#include "tests/unit/tls/identities.h"

namespace hikyaku::tls {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);

struct Both {
  Handshake client;
  Handshake server;
};

awaitable<Both> Meet(std::shared_ptr<const ClientContext> client, std::shared_ptr<const ServerContext> server,
                     PeerPolicy policy, std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>> wire) {
  using namespace asio::experimental::awaitable_operators;
  auto [c, s] = co_await (HandshakeAsClient(std::move(client), std::move(wire.first), std::move(policy), kLong) &&
                          HandshakeAsServer(std::move(server), std::move(wire.second), kLong));
  Both both{std::move(c), std::move(s)};
  co_return both;
}

// Shakes hands over memory, and runs what follows.
class TlsTest : public testing::Test {
 protected:
  Both Shake(const Identity& identity, PeerPolicy policy, std::shared_ptr<const ClientContext> client = Client()) {
    return net::RunTask(context_, Meet(std::move(client), Server(identity), std::move(policy), Wire()));
  }

  std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>> Wire() {
    return net::MakeMemoryPair(context_.get_executor());
  }

  std::string Read(net::Stream& stream) {
    char buffer[4096];
    const auto got = net::RunTask(context_, stream.ReadSome(buffer, sizeof(buffer), kLong));
    return got.ok() ? std::string(buffer, *got) : std::string(got.status().message());
  }

  absl::StatusCode ReadCode(net::Stream& stream) {
    char buffer[4096];
    return net::RunTask(context_, stream.ReadSome(buffer, sizeof(buffer), kLong)).status().code();
  }

  boost::asio::io_context context_;
};

TEST_F(TlsTest, VerifiedPeerOverTheNewestVersionAndGroup) {
  const Both both = Shake(GoodIdentity(), {"mx.test", /*enforce=*/true});
  ASSERT_TRUE(both.client.status.ok()) << both.client.status;
  const TlsInfo& info = both.client.stream->info();
  EXPECT_EQ(info.version, "TLSv1.3");
  EXPECT_EQ(info.group, "X25519");
  EXPECT_TRUE(info.proof.verified) << info.proof.why;
  EXPECT_EQ(info.proof.why, "");
  EXPECT_EQ(info.proof.peer, "CN=mx, issued by CN=Good CA, until 2023-11-15");
}

struct Bad {
  const char* name;
  Identity identity;
  Flaw flaw;
  const char* why;  // A part of it.
};

std::vector<Bad> BadPeers() {
  // GoodIdentity is no authority, though it issues here.
  Identity by_leaf = MakeIdentity("mx2", {"mx.test"}, &GoodIdentity());
  by_leaf.certificate += GoodIdentity().certificate;
  return {{"self signed", MakeIdentity("mx", {"mx.test"}, nullptr), Flaw::kNotTrusted, "self signed"},
          {"expired", MakeIdentity("mx", {"mx.test"}, &Authority(), -absl::Hours(1)), Flaw::kExpired, "expired"},
          {"wrong name", MakeIdentity("mx", {"other.test", "*.mx.test"}, &Authority()), Flaw::kHostMismatch,
           "not for mx.test"},
          {"name in the subject alone", MakeIdentity("mx.test", {}, &Authority()), Flaw::kHostMismatch, "not for"},
          {"untrusted", MakeIdentity("mx", {"mx.test"}, &OtherAuthority()), Flaw::kNotTrusted, "local issuer"},
          {"issued by a leaf", by_leaf, Flaw::kOther, "invalid CA certificate"}};
}

TEST_F(TlsTest, UnprovedPeerIsMarkedWhereProofIsNotAskedFor) {
  for (const Bad& bad : BadPeers()) {
    const Both both = Shake(bad.identity, {"mx.test", /*enforce=*/false});
    ASSERT_TRUE(both.client.status.ok()) << bad.name << both.client.status;
    const PeerProof& proof = both.client.stream->info().proof;
    EXPECT_FALSE(proof.verified) << bad.name;
    EXPECT_EQ(proof.flaw, bad.flaw) << bad.name << ": " << proof.why;
    EXPECT_NE(proof.why.find(bad.why), std::string::npos) << bad.name << ": " << proof.why;
  }
}

TEST_F(TlsTest, UnprovedPeerIsRefusedWhereProofIsAskedFor) {
  for (const Bad& bad : BadPeers()) {
    const Both both = Shake(bad.identity, {"mx.test", /*enforce=*/true});
    EXPECT_EQ(both.client.stream, nullptr) << bad.name;
    EXPECT_EQ(both.client.status.code(), absl::StatusCode::kFailedPrecondition) << bad.name << both.client.status;
    EXPECT_EQ(both.client.proof.flaw, bad.flaw) << bad.name;
  }
}

TEST_F(TlsTest, WildcardStandsForOneLabel) {
  const Identity wild = MakeIdentity("mx", {"*.mx.test"}, &Authority());
  EXPECT_TRUE(Shake(wild, {"a.mx.test", true}).client.status.ok());
  EXPECT_FALSE(Shake(wild, {"a.b.mx.test", true}).client.status.ok());
}

TEST_F(TlsTest, AddressNeedsACertificateThatBearsIt) {
  EXPECT_EQ(Shake(GoodIdentity(), {"[192.0.2.1]", true}).client.proof.flaw, Flaw::kHostMismatch);
}

TEST_F(TlsTest, WithoutRootsNobodyIsBelieved) {
  const auto client = std::make_shared<const ClientContext>(nullptr, MinVersion::kTls12, Clock::System());
  EXPECT_FALSE(Shake(GoodIdentity(), {"mx.test", false}, client).client.stream->info().proof.verified);
}

awaitable<absl::Status> Exchange(net::Stream& from, net::Stream& to, const std::string& bytes, std::string* got) {
  using namespace asio::experimental::awaitable_operators;
  struct Reader {
    static awaitable<absl::Status> Run(net::Stream& to, std::size_t size, std::string* got) {
      char buffer[5000];
      while (got->size() < size) {
        const auto count = co_await to.ReadSome(buffer, sizeof(buffer), kLong);
        if (!count.ok()) co_return count.status();
        got->append(buffer, *count);
      }
      co_return absl::OkStatus();
    }
  };
  const absl::string_view all(bytes);
  const absl::string_view pieces[] = {all.substr(0, 10), "", all.substr(10, 20'000), all.substr(20'010)};
  auto [written, read] = co_await (from.Write(pieces, kLong) && Reader::Run(to, bytes.size(), got));
  co_return written.ok() ? read : written;
}

TEST_F(TlsTest, CarriesBytesBothWays) {
  const Both both = Shake(GoodIdentity(), {"mx.test", true});
  ASSERT_TRUE(both.server.status.ok());
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  std::string there;
  EXPECT_TRUE(net::RunTask(context_, Exchange(*both.client.stream, *both.server.stream, bytes, &there)).ok());
  EXPECT_EQ(there, bytes);
  std::string back;
  EXPECT_TRUE(net::RunTask(context_, Exchange(*both.server.stream, *both.client.stream, bytes, &back)).ok());
  EXPECT_EQ(back, bytes);
}

TEST_F(TlsTest, ReadArrivedDoesNotWait) {
  const Both both = Shake(GoodIdentity(), {"mx.test", true});
  char buffer[64];
  EXPECT_EQ(*both.client.stream->ReadArrived(buffer, sizeof(buffer)), 0u);  // Tickets have arrived, nothing else.
  EXPECT_TRUE(net::RunTask(context_, both.server.stream->WriteAll("421 bye\r\n", kLong)).ok());
  EXPECT_EQ(*both.client.stream->ReadArrived(buffer, sizeof(buffer)), 9u);
}

TEST_F(TlsTest, EndIsToldFromACut) {
  Both both = Shake(GoodIdentity(), {"mx.test", true});
  struct End {
    static awaitable<bool> Say(TlsStream& stream) {
      co_await stream.SayEnd(kLong);
      co_return true;
    }
  };
  net::RunTask(context_, End::Say(*both.server.stream));
  both.server.stream->Close();
  EXPECT_EQ(ReadCode(*both.client.stream), absl::StatusCode::kOutOfRange);

  both = Shake(GoodIdentity(), {"mx.test", true});
  both.server.stream->Close();
  EXPECT_EQ(ReadCode(*both.client.stream), absl::StatusCode::kUnavailable);
}

// A ticket arrives with the first read after the handshake.
TEST_F(TlsTest, SessionsAreResumedUnderTheSamePolicyAlone) {
  const auto client = Client();
  const Identity mine = MakeIdentity("mx", {"mx.test"}, &Authority());
  const auto server = Server(mine);
  const auto visit = [&](const PeerPolicy& policy) {
    const Both both = net::RunTask(context_, Meet(client, server, policy, Wire()));
    EXPECT_TRUE(both.client.status.ok()) << both.client.status;
    EXPECT_TRUE(both.client.stream->info().proof.verified);
    EXPECT_TRUE(net::RunTask(context_, both.server.stream->WriteAll("hello", kLong)).ok());
    EXPECT_EQ(Read(*both.client.stream), "hello");
    return both.client.stream->info().resumed;
  };
  EXPECT_FALSE(visit({"mx.test", false}));
  EXPECT_TRUE(visit({"mx.test", false}));
  EXPECT_FALSE(visit({"mx.test", true}));
  EXPECT_TRUE(visit({"mx.test", true}));
}

awaitable<Handshake> ShakeWith(std::string peer_says, bool then_close,
                               std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>> wire,
                               absl::Duration limit) {
  const absl::Status said = co_await wire.second->WriteAll(peer_says, kLong);
  EXPECT_TRUE(said.ok());
  if (then_close) wire.second->Close();
  PeerPolicy policy{"mx.test", false};
  co_return co_await HandshakeAsClient(Client(), std::move(wire.first), std::move(policy), limit);
}

TEST_F(TlsTest, GarbageIsNoHandshake) {
  const std::string garbage = "220 2.0.0 not TLS at all\r\n";
  const Handshake failed = net::RunTask(context_, ShakeWith(garbage, false, Wire(), kLong));
  EXPECT_EQ(failed.status.code(), absl::StatusCode::kInvalidArgument) << failed.status;
  EXPECT_EQ(failed.stream, nullptr);
}

TEST_F(TlsTest, CutHandshakeIsNoHandshake) {
  const std::string half("\x16\x03\x03\x02\x00\x02\x00", 7);
  EXPECT_FALSE(net::RunTask(context_, ShakeWith(half, true, Wire(), kLong)).status.ok());
}

TEST_F(TlsTest, HandshakeHasALimit) {
  const std::string half("\x16\x03\x03\x02\x00\x02\x00", 7);
  const Handshake late = net::RunTask(context_, ShakeWith(half, false, Wire(), absl::Milliseconds(50)));
  EXPECT_EQ(late.status.code(), absl::StatusCode::kDeadlineExceeded) << late.status;
}

TEST(ServerContext, RefusesAKeyOfAnotherCertificate) {
  const absl::Status bad = ServerContext::Create(GoodIdentity().certificate, Authority().key).status();
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ServerContext::Create("nonsense", Authority().key).ok());
}

TEST(TrustRoots, RefuseWhatIsNoCertificate) {
  EXPECT_FALSE(TrustRoots::FromPem("").ok());
  EXPECT_FALSE(TrustRoots::FromPem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
}

}  // namespace
}  // namespace hikyaku::tls
