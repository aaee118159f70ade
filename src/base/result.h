// Errors are values. A function that can fail returns Result<T>; the message is one line, made for
// the person at the terminal: what failed, why, and where there is one, the next step.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace bulkhead {

struct Error {
  std::string message;
  int code = 0;  // errno where the failure came from the kernel, else 0

  // Puts the caller's context in front: `mount "/x": ` + message.
  Error with(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
};

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string message, int code = 0) {
  return tl::unexpected<Error>(Error{std::move(message), code});
}

// The kernel's errno as `syscall "object": ENOENT (No such file or directory)`.
Error errno_error(std::string_view syscall, std::string_view object, int code);
inline tl::unexpected<Error> fail_errno(std::string_view syscall, std::string_view object, int code) {
  return tl::unexpected<Error>(errno_error(syscall, object, code));
}

}  // namespace bulkhead

#define BH_CONCAT_INNER(a, b) a##b
#define BH_CONCAT(a, b) BH_CONCAT_INNER(a, b)

// BH_TRY(auto fd, open_file(path)); declares fd or returns the error. (Not a statement expression:
// those are broken inside coroutines with GCC 12.)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration and a name, not expressions
#define BH_TRY(declaration, expression) BH_TRY_INNER(BH_CONCAT(bh_try_, __COUNTER__), declaration, expression)
#define BH_TRY_INNER(name, declaration, expression)          \
  auto name = (expression);                                  \
  if (!name) return tl::unexpected(std::move(name).error()); \
  declaration = std::move(*name)
// NOLINTEND(bugprone-macro-parentheses)

// BH_CHECK(close_all()); for Result<void>.
#define BH_CHECK(expression)                              \
  do {                                                    \
    if (auto bh_check = (expression); !bh_check) {        \
      return tl::unexpected(std::move(bh_check).error()); \
    }                                                     \
  } while (false)
