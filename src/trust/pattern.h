// Where a control file lies: `.git/hooks/*`, `*.code-workspace`, `.claude/commands/**`. A pattern holds at any depth of
// a project. A `*` stands for any part of one name; `**` as a whole name for any number of folders, and, last, for
// everything below. Names are compared as spelling.h folds them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace bulkhead::trust {

class Pattern {
 public:
  // Refuses what can't be meant: empty names, `.`, `..`, a leading `/` or `**`.
  static Result<Pattern> parse(std::string_view text);

  struct Name {
    std::string text;  // folded
    bool wildcard = false, any_depth = false;
    bool matches(std::string_view folded_name) const;
  };
  const std::vector<Name>& names() const { return names_; }

 private:
  std::vector<Name> names_;
};

// `text` against a pattern in which `*` stands for any run of bytes.
bool wildcard_matches(std::string_view pattern, std::string_view text);

// Many patterns at once, a name at a time, on the way down a tree.
class Matcher {
 public:
  // `id` is what a match reports.
  void add(const Pattern& pattern, std::size_t id);

  // How far the patterns have come in one folder.
  struct State {
    std::size_t pattern, position;
    bool operator==(const State&) const = default;
  };
  struct Step {
    std::vector<State> below;       // if the name is a folder's
    std::vector<std::size_t> full;  // ids whose pattern ends here, each once
  };
  // Into (or at) `name` in a folder with this state. `anywhere`: patterns begin here as well.
  Step step(const std::vector<State>& state, std::string_view folded_name, bool anywhere = true) const;

  std::size_t id_of(const State& state) const { return entries_[state.pattern].id; }

  // What the patterns expect below a whole path ("a/b/c", not folded), begun with `from`.
  std::vector<State> below(std::string_view path, const std::vector<State>& from = {}) const;

  // The ids that a whole path matches ("a/b/c", relative, not folded), in a folder with the state `from`.
  std::vector<std::size_t> match_path(std::string_view path, const std::vector<State>& from = {}) const;

 private:
  void advance(State at, std::string_view name, Step& out) const;

  struct Entry {
    Pattern pattern;
    std::size_t id;
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_first_name_;
  std::vector<std::size_t> first_has_alias_;
  // Those whose first name has a star: by the byte it begins with, else by the one it ends with, else `wild_`. Names
  // that nothing is about are what a tree is full of.
  std::unordered_map<char, std::vector<std::size_t>> wild_from_, wild_to_;
  std::vector<std::size_t> wild_;
};

}  // namespace bulkhead::trust
