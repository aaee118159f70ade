// A place in a JSON document, as [grant.allow.json] names it: `tools.*.type`. Steps are separated by dots: a key, `*`
// (any one member or element), or `**` (any number of either, none too). Keys are letters, digits and `_-$@/`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead {

inline constexpr std::size_t max_json_steps = 16;

class JsonPath {
 public:
  static Result<JsonPath> parse(std::string_view text);
  // A place that may end with `**`: where objects are whose members are named elsewhere.
  static Result<JsonPath> parse_object(std::string_view text);

  // `steps` from the outermost: the key of a member as fold_json() has it, "" for an element. Keys of the path are
  // folded too.
  bool matches(const std::vector<std::string>& steps) const;
  // Is this where the object is that holds the member at `steps`?
  bool holds(const std::vector<std::string>& steps) const;
  // As matches(), for keys as they were written, none folded: what every reader finds there.
  bool matches_exactly(const std::vector<std::string>& steps) const;

 private:
  std::vector<std::string> written_, folded_;
};

// One spelling for all that some reader takes for the same key: letters of ASCII in lower case, and the two letters
// beyond it whose other case is in ASCII (Go's encoding/json matches keys so).
std::string fold_json(std::string_view text);

// "text" or "tex*".
bool json_value_matches(std::string_view pattern, std::string_view value);

}  // namespace bulkhead
