// Does a body in JSON say what its rule allows? Judged whole, before any of it goes up.
//
// Only what every reader takes for the same document is accepted: UTF-8 without a byte order mark, no key twice in one
// object, no NUL in a key, at most max_json_depth deep, nothing behind it. (RFC 8259 leaves each of these to the
// reader, and so would the rules be.)
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "policy/policy.h"

namespace bulkhead::grant {

inline constexpr std::size_t max_json_depth = 100;

// What is wrong with a body, for people; it never holds a line break, or more than a little of the body.
struct JsonRefusal {
  std::string text;
};
tl::expected<void, JsonRefusal> judge_json(const JsonRules& rules, std::string_view body);

}  // namespace bulkhead::grant
