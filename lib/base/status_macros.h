// RETURN_IF_ERROR and ASSIGN_OR_RETURN, with the meaning that they have upstream of Debian's Abseil, and their
// twins for coroutines (CO_…), which leave by co_return.
#ifndef HIKYAKU_LIB_BASE_STATUS_MACROS_H_
#define HIKYAKU_LIB_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define HIKYAKU_CONCAT_INNER(a, b) a##b
#define HIKYAKU_CONCAT(a, b) HIKYAKU_CONCAT_INNER(a, b)

// Leaves the function with the status of `expr` unless that is ok.
#define RETURN_IF_ERROR(expr)                                                              \
  do {                                                                                     \
    if (absl::Status hikyaku_status = (expr); !hikyaku_status.ok()) return hikyaku_status; \
  } while (false)

// The same in a coroutine; `expr` may hold a co_await.
#define CO_RETURN_IF_ERROR(expr)                                                              \
  do {                                                                                        \
    if (absl::Status hikyaku_status = (expr); !hikyaku_status.ok()) co_return hikyaku_status; \
  } while (false)

#define HIKYAKU_ASSIGN_OR(leave, temporary, lhs, expr)      \
  auto temporary = (expr);                                  \
  if (!temporary.ok()) leave std::move(temporary).status(); \
  lhs = *std::move(temporary)

// Evaluates `expr`, a StatusOr; leaves with its status if not ok, else moves its value into `lhs`.
#define ASSIGN_OR_RETURN(lhs, expr) HIKYAKU_ASSIGN_OR(return, HIKYAKU_CONCAT(hikyaku_value_, __LINE__), lhs, expr)

// The same in a coroutine.
#define CO_ASSIGN_OR_RETURN(lhs, expr) HIKYAKU_ASSIGN_OR(co_return, HIKYAKU_CONCAT(hikyaku_value_, __LINE__), lhs, expr)

#endif  // HIKYAKU_LIB_BASE_STATUS_MACROS_H_
