// secrets/: what looks like a key, where a workload could read it.
//
//   secrets.h  the patterns, which are data: secrets/patterns.toml (this file)
//   stores.h   a mount that would bring a credential store in is refused unless it is said twice
//   scan.h     a folder's files that look like keys, within bounds
//
// Finding is no boundary: a key with another name is not found. What keeps keys out is that nothing of HOME is there
// unless it is mounted.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::secrets {

// Where the tools of a home folder keep what logs them in.
struct Store {
  std::string what;
  std::vector<std::string> paths;   // `~/…`
  std::vector<std::string> except;  // names of files in it that are no secret
};

struct NamePattern {
  std::string what;
  std::vector<std::string> files, except;  // a name, or one that begins or ends with `*`, or both
  bool read = false;                       // only a file whose content looks like a key, too
};

struct ContentPattern {
  std::string what, text;
  std::array<bool, 256> then{};  // of these characters
  std::size_t least = 0;         // so many follow
};

struct Patterns {
  std::vector<Store> stores;
  std::vector<NamePattern> names;
  std::vector<std::string> skipped;  // folders that are not looked into
  std::vector<ContentPattern> contents;
};

// DATA/secrets/patterns.toml. An error names file and line.
Result<Patterns> load_patterns(const std::string& data_dir);
Result<Patterns> patterns_from(std::string_view text, const std::string& file);

// The first pattern for a file of that name; null: it looks like none.
const NamePattern* named(const Patterns& patterns, std::string_view name);
// The same of what is in it.
const ContentPattern* contained(const Patterns& patterns, std::string_view text);
bool matches(std::string_view name, const std::vector<std::string>& patterns);

}  // namespace bulkhead::secrets
