// `hikyaku serve`: runs the role until SIGTERM.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SERVE_H_
#define HIKYAKU_SERVICES_HIKYAKU_SERVE_H_

#include <string>

#include "lib/config/role.h"

namespace hikyaku::cli {

struct ServeFlags {
  std::string config_path;
  config::Role role = config::Role::kAll;
};

// The exit code: 0 after a clean stop, 1 failed, 2 the configuration is wrong (said on standard error in one line).
int Serve(const ServeFlags& flags);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_SERVE_H_
