// What a preset leaves open, to be said by the grant that names it: [parameters.NAME] in the preset, `with` in the
// grant. Each has a kind from a closed list, which says what a value looks like, so that none can mean more than its
// kind does: no further path segment, no wildcard, no dot segment.
//
// `${NAME}` stands for the values. In `host`, one grant for each; in `path`, one rule for each; of several parameters,
// each combination; and inside such a grant or rule the placeholder means that one value. In a list, one element for
// each. It may stand in `host`, `hosts`, `path`, behind the `=` in `query`, in the values of [grant.allow.json], in
// `refs` of [grant.allow.git] and in `packages`, where the kind fits; anywhere else it is an error.
//
// One that only narrows, by a list that may be left out of a rule (`packages`), can be optional: where the grant does
// not say it, the list is left out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"
#include "policy/toml.h"

namespace bulkhead {

struct ParameterKind {
  enum Place : unsigned { host = 1, path = 2, query = 4, json = 8, refs = 16, packages = 32 };
  std::string_view name;
  std::string_view example;
  unsigned places;
  Result<void> (*check)(std::string_view value);
};
// "owner/name", "name", "ref-pattern", "channel", "bucket", "prefix", "host-label", "host-name", "package".
const std::vector<ParameterKind>& parameter_kinds();

struct Parameter {
  const ParameterKind* kind = nullptr;
  std::string help;                         // one line: what the values are
  std::vector<std::string> default_values;  // empty: the grant has to say them, unless
  bool optional = false;                    // it narrows, and nothing holds where the grant does not say it
};

// The declarations of a preset's file. `root` is the file; `file` its name for errors.
Result<std::map<std::string, Parameter>> load_parameters(const TomlValue& root, const std::string& file);

// The values that hold: those of `named`, a grant that names a preset, else the defaults; none of an optional one that
// it does not say. Errors name the grant's line.
using ParameterValues = std::map<std::string, std::vector<std::string>>;
Result<ParameterValues> parameter_values(const std::map<std::string, Parameter>& parameters, const Grant& named);
// For looking at a preset's file by itself: an example of each that has no default.
ParameterValues example_values(const std::map<std::string, Parameter>& parameters);

// `root` without its parameters, and with the values in the places of the placeholders.
Result<TomlValue> fill_parameters(const TomlValue& root, const std::string& file,
                                  const std::map<std::string, Parameter>& parameters, const ParameterValues& values);

}  // namespace bulkhead
