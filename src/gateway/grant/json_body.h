// Does a body in JSON say what its rule allows? Judged whole, before any of it goes up.
//
// Only what every reader takes for the same document is accepted: UTF-8 without a byte order mark, no key twice in one
// object, no NUL in a key, at most max_json_depth deep, nothing behind it. (RFC 8259 leaves each of these to the
// reader, and so would the rules be.)
#pragma once

#include <memory>
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

// The same for many bodies: the places that the rules name are read once.
class JsonJudge {
 public:
  explicit JsonJudge(const JsonRules& rules);  // which outlive it
  ~JsonJudge();
  JsonJudge(const JsonJudge&) = delete;
  JsonJudge& operator=(const JsonJudge&) = delete;

  tl::expected<void, JsonRefusal> judge(std::string_view body) const;

 private:
  struct Compiled;
  std::unique_ptr<const Compiled> compiled_;  // null: a rule can't be read
};

}  // namespace bulkhead::grant
