// The path and the query of a request, in canonical form or not at all. Two servers that normalise
// differently would call different functions for `/a/../b`, `//`, `%2e%2e`, `;` or `\`: such a
// request has no single meaning that a grant could allow.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace bulkhead::grant {

struct Target {
  std::string_view path;                       // with its leading slash
  std::vector<std::string_view> segments;      // of the path, as received; the last is empty after a final slash
  std::vector<std::string> query_keys;         // decoded
  std::vector<std::string_view> query_values;  // of the same places, as received: empty with and without a `=`
  bool has_query = false;
};

// What is wrong with it, for people.
struct NotCanonical {
  std::string text;
};

// `target`: origin-form. The views point into it.
tl::expected<Target, NotCanonical> split_target(std::string_view target);

// `path_template` as in Rule::path. `{…}` and `*` are one segment, never an empty one; `**` is any
// number; `{…}:verb` is a segment with one colon, before which stands anything. An encoded slash is
// refused by all of them but `{package}`, which also takes npm's `@scope%2fname` in one segment.
// `{package}` is never `-`, below which registries keep functions of their own, and `{scope}` begins
// with `@`.
bool path_matches(std::string_view path_template, const Target& target);

// What stands for `{package}` in a path that the template matches, as registries name it and in lower case: with
// `{scope}` in front both, and `%2f` as the slash it stands for. Empty: the template has none.
std::string package_in(std::string_view path_template, const Target& target);

// Is every key of the query in the closed list, and each key with values there, once, with one of
// them? {"*"}: any.
bool query_matches(const std::vector<std::string>& allowed, const Target& target);

// What is wrong with the query for a rule that allows `allowed`, as a phrase for people.
std::string query_mismatch(const std::vector<std::string>& allowed, const Target& target);

// A template that matches exactly this path where one can be written, with `*` for segments that
// can't.
std::string template_for(const Target& target);

}  // namespace bulkhead::grant
