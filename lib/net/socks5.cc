#include "lib/net/socks5.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::net {
namespace {

constexpr char kVersion = 5;
constexpr char kNoLogin = 0;
constexpr char kUserPassword = 2;
constexpr char kConnect = 1;
constexpr char kIpv4 = 1;
constexpr char kName = 3;
constexpr char kIpv6 = 4;
constexpr std::size_t kReplyHead = 5;  // Up to the first octet of the address, which says how long a name is.

// RFC 1928 §6. The first that blame the proxy or its rules, the others the way to the other end.
absl::Status Refusal(char code) {
  const auto ours = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("SOCKS proxy: ", what));
  };
  const auto theirs = [](absl::string_view what) {
    return absl::UnavailableError(absl::StrCat("SOCKS proxy: ", what));
  };
  switch (code) {
    case 1: return ours("general failure");
    case 2: return ours("not allowed by its rules");
    case 3: return theirs("network unreachable");
    case 4: return theirs("host unreachable");
    case 5: return theirs("connection refused");
    case 6: return theirs("TTL expired");
    case 7: return ours("does not support CONNECT");
    case 8: return ours("does not support this kind of address");
    default: return ours(absl::StrCat("unknown failure ", static_cast<int>(static_cast<unsigned char>(code))));
  }
}

}  // namespace

Socks5::Socks5(Endpoint to, std::string user, std::string password)
    : to_(to), user_(std::move(user)), password_(std::move(password)) {}

Socks5::Step Socks5::Start() {
  const std::string methods = user_.empty() ? std::string{kNoLogin} : std::string{kNoLogin, kUserPassword};
  return Await(State::kMethod, 2, std::string{kVersion, static_cast<char>(methods.size())} + methods);
}

Socks5::Step Socks5::Await(State state, std::size_t octets, std::string output) {
  state_ = state;
  buffer_.clear();
  wanted_ = octets;
  return {std::move(output), state == State::kDone};
}

absl::StatusOr<Socks5::Step> Socks5::Feed(absl::string_view bytes) {
  bytes = bytes.substr(0, wanted());
  buffer_.append(bytes.data(), bytes.size());
  if (wanted() > 0) return Step();
  switch (state_) {
    case State::kMethod: return OnMethod();
    case State::kLogin: return OnLogin();
    case State::kReply: return OnReply();
    case State::kAddress:
    case State::kDone: break;
  }
  return Await(State::kDone, 0, "");
}

absl::StatusOr<Socks5::Step> Socks5::OnMethod() {
  if (buffer_[0] != kVersion) return absl::InvalidArgumentError("the proxy does not speak SOCKS 5");
  if (buffer_[1] == kNoLogin) return Await(State::kReply, kReplyHead, Request());
  if (buffer_[1] != kUserPassword || user_.empty()) {
    return absl::InvalidArgumentError("SOCKS proxy: it wants another kind of login");
  }
  std::string login{1, static_cast<char>(user_.size())};
  absl::StrAppend(&login, user_, std::string(1, static_cast<char>(password_.size())), password_);
  return Await(State::kLogin, 2, std::move(login));
}

absl::StatusOr<Socks5::Step> Socks5::OnLogin() {
  if (buffer_[1] != 0) return absl::InvalidArgumentError("SOCKS proxy: it refuses the user or the password");
  return Await(State::kReply, kReplyHead, Request());
}

std::string Socks5::Request() const {
  std::string request{kVersion, kConnect, 0, to_.address.is_v4() ? kIpv4 : kIpv6};
  const absl::string_view address = to_.address.bytes();
  request.append(address.data(), address.size());
  request.push_back(static_cast<char>(to_.port >> 8));
  request.push_back(static_cast<char>(to_.port & 0xff));
  return request;
}

absl::StatusOr<Socks5::Step> Socks5::OnReply() {
  if (buffer_[0] != kVersion) return absl::InvalidArgumentError("the proxy does not speak SOCKS 5");
  if (buffer_[1] != 0) return Refusal(buffer_[1]);
  // What is left of the address that the proxy sends from, and its port; one octet of it has come.
  switch (buffer_[3]) {
    case kIpv4: return Await(State::kAddress, 4 - 1 + 2, "");
    case kIpv6: return Await(State::kAddress, 16 - 1 + 2, "");
    case kName: return Await(State::kAddress, static_cast<unsigned char>(buffer_[4]) + std::size_t{2}, "");
    default: return absl::InvalidArgumentError("SOCKS proxy: its answer has an unknown kind of address");
  }
}

}  // namespace hikyaku::net
