// The client's side of SOCKS 5, up to the point where the connection through the proxy stands. Pure.
//
// Source:     RFC 1928 (CONNECT by address; no names, which would be looked up elsewhere), RFC 1929 (user and
// password). Threading:  one owner.
//
//   for (absl::StatusOr<Step> step = socks.Start(); …; step = socks.Feed(bytes))
//     write step->output; read on until step->done.
#ifndef HIKYAKU_LIB_NET_SOCKS5_H_
#define HIKYAKU_LIB_NET_SOCKS5_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/net/endpoint.h"

namespace hikyaku::net {

class Socks5 {
 public:
  struct Step {
    std::string output;  // To be written; may be empty.
    bool done = false;   // The next octet comes from the other end.
  };

  // `user` empty: no login is offered. Each of the two is at most 255 octets.
  Socks5(Endpoint to, std::string user, std::string password);

  Step Start();

  // So many octets are wanted next, and no more may be fed: what follows the last answer belongs to the other end.
  std::size_t wanted() const { return wanted_ - buffer_.size(); }

  // At most wanted() octets. Errors end the dialogue:
  //   kUnavailable      The proxy could not reach the other end.                    The other end's fault.
  //   kInvalidArgument  No SOCKS 5, or the proxy refuses us or our login.           The proxy's or the configuration's.
  absl::StatusOr<Step> Feed(absl::string_view bytes);

 private:
  enum class State { kMethod, kLogin, kReply, kAddress, kDone };

  absl::StatusOr<Step> OnMethod();
  absl::StatusOr<Step> OnLogin();
  absl::StatusOr<Step> OnReply();
  Step Await(State state, std::size_t octets, std::string output);
  std::string Request() const;

  const Endpoint to_;
  const std::string user_;
  const std::string password_;
  State state_ = State::kMethod;
  std::size_t wanted_ = 0;
  std::string buffer_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_SOCKS5_H_
