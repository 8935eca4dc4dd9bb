#include "lib/config/role.h"

#include "absl/strings/str_cat.h"

namespace hikyaku::config {

absl::StatusOr<Role> ParseRole(absl::string_view text) {
  for (const Role role : {Role::kAll, Role::kSubmission, Role::kQueue, Role::kDelivery}) {
    if (RoleName(role) == text) return role;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a role: write all, submission, queue or delivery"));
}

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kSubmission: return "submission";
    case Role::kQueue: return "queue";
    case Role::kDelivery: return "delivery";
    case Role::kAll: break;
  }
  return "all";
}

}  // namespace hikyaku::config
