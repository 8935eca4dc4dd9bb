// Logs in on a fresh connection: which mechanism, whether the connection may be trusted with it, and what came of it.
//
// Source:     RFC 4954. Threading:  the coroutine of the connection.
#ifndef HIKYAKU_LIB_DELIVERY_LOGIN_DIALOGUE_H_
#define HIKYAKU_LIB_DELIVERY_LOGIN_DIALOGUE_H_

#include <optional>

#include "lib/base/clock.h"
#include "lib/delivery/connection.h"
#include "lib/delivery/login.h"
#include "lib/net/asio.h"
#include "lib/outcome/outcome.h"

namespace hikyaku::delivery {

// `connection` is open and has had no transaction. Nothing: it is logged in. An outcome: it is not, and is of no use;
// unless connection.cancelled(), all that is to be said. A refusal is noted at `login`. All outlive the call.
awaitable<std::optional<outcome::Outcome>> LogIn(Connection& connection, Login& login, Clock& clock);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_LOGIN_DIALOGUE_H_
