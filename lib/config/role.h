// What one process does: the value of `hikyaku serve --role`.
#ifndef HIKYAKU_LIB_CONFIG_ROLE_H_
#define HIKYAKU_LIB_CONFIG_ROLE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::config {

enum class Role { kAll, kSubmission, kQueue, kDelivery };

// kInvalidArgument names the four words.
absl::StatusOr<Role> ParseRole(absl::string_view text);
absl::string_view RoleName(Role role);

// The parts that a role consists of.
inline bool HasSubmission(Role role) { return role == Role::kAll || role == Role::kSubmission; }
inline bool HasQueue(Role role) { return role == Role::kAll || role == Role::kQueue; }
inline bool HasDelivery(Role role) { return role == Role::kAll || role == Role::kDelivery; }

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_ROLE_H_
