// advice/: policies looked at before anything runs, and recorded sessions looked at again. What `bulkhead policy
// check`, `explain`, `init` and `replay` are made of. Nothing here changes a policy or grants anything; it reads and
// says.
//
//   lint.h      what in a policy opens more than it seems to
//   explain.h   what a policy opens, in words, and what remains possible
//   hosts.h     what is known of hosts that many people share: data for the two above
//   record.h    one session's evidence, line by line (docs/formats.md)
//   propose.h   what a session asked for -> the tightest grants for it, as TOML
//   offer.h     what may be granted for one request, for `bulkhead run --ask`
//   replay.h    what a session asked for, judged again by another policy
//
// Policies and presets come from files a person wrote; evidence holds what a workload chose to say. All of it is
// escaped before it is shown, and nothing of the evidence reaches TOML but words that the policy's own checks accept.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "policy/policy.h"

namespace bulkhead::advice {

// Could a body leave with it? Whatever is not known to be for reading.
inline bool writes(std::string_view method) {
  static constexpr std::array<std::string_view, 5> reading{"GET", "HEAD", "OPTIONS", "PROPFIND", "SEARCH"};
  return std::find(reading.begin(), reading.end(), method) == reading.end();
}
inline bool writes(const Rule& rule) {
  return std::any_of(rule.methods.begin(), rule.methods.end(), [](const std::string& m) { return writes(m); });
}
inline bool writes(const Grant& grant) {
  return grant.protocol == Protocol::tcp || is_websocket(grant.protocol) ||
         std::any_of(grant.allow.begin(), grant.allow.end(), [](const Rule& rule) { return writes(rule); });
}

// Nobody is on the way to what is dialled at a loopback address.
inline bool on_this_machine(const Grant& grant) {
  return grant.address.starts_with("127.") || grant.address == "::1";
}

// Segments of a path template: "/v1/{id}" -> "v1", "{id}".
inline std::vector<std::string> segments_of(const std::string& path_template) {
  return split(std::string_view(path_template).substr(1), '/');
}
inline bool is_wildcard(std::string_view segment) {
  return segment == "*" || segment == "**" || (segment.size() > 2 && segment.front() == '{' && segment.back() == '}');
}

// A segment of a request's path that its maker did not think of: numbers, UUIDs, hashes, long random names.
bool looks_made_up(std::string_view segment);

}  // namespace bulkhead::advice
