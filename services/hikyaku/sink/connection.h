// One connection of the test receiver: bytes from the stream to the session and back, with its delays and drops.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SINK_CONNECTION_H_
#define HIKYAKU_SERVICES_HIKYAKU_SINK_CONNECTION_H_

#include <memory>

#include "lib/net/asio.h"
#include "lib/net/stream.h"
#include "lib/tls/context.h"
#include "services/hikyaku/sink/keeper.h"
#include "services/hikyaku/sink/rules.h"
#include "services/hikyaku/sink/session.h"

namespace hikyaku::sink {

// What all connections share; outlives them.
struct Shared {
  SessionOptions options;
  Rules* rules;
  Keeper* keeper;
  std::shared_ptr<const tls::ServerContext> tls;  // Null: none is spoken.
  bool implicit_tls = false;                      // From the first octet.
};

// Returns when the dialogue is over.
awaitable<void> Serve(const Shared* shared, std::unique_ptr<net::Stream> stream);

}  // namespace hikyaku::sink

#endif  // HIKYAKU_SERVICES_HIKYAKU_SINK_CONNECTION_H_
