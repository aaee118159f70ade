// The list of control files: control/*.toml as shipped, and the user's own files in ~/.config/bulkhead/control/, which
// can only add. docs/trust.md says what the keys mean; an unknown one is an error, and nothing runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "trust/pattern.h"

namespace bulkhead::trust {

// In the order of strength: what runs also counts where the same file only instructs.
enum class Class {
  runs,       // by itself, when a folder is opened or entered: masked until trusted
  instructs,  // tells an agent what to do: shown, masked until trusted
  build,      // runs when somebody builds, installs or tests: visible, looked at on the way out
};
const char* name_of(Class value);

// How its content is read, to say what it would do.
enum class Format { text, json, toml, git_config };

// One line of what a file would do, for each value at `at`: names separated by `/`, `*` for any part of one.
struct Show {
  std::string at, as;
  std::string needs, needs_value;  // only where this (seen from the value's object) is that; "*" = anything
};

struct Rule {
  std::string id;
  Class kind = Class::runs;
  std::string who;      // "git", "Claude Code"
  std::string trigger;  // when it acts: "the next git command in this folder"
  Format format = Format::text;
  std::vector<Show> shows;
  // A file that is read and holds nothing else is no control file. Unset lists make every file count.
  std::vector<std::string> contains;  // counts only with one of these in it (ASCII case ignored)
  std::vector<std::string> harmless;  // counts only with a top-level key beside these (`*` for any part)
  bool executable = false;            // counts only when it can be executed
  bool secret = false;                // may hold keys: only what `contains` names is shown, and no copy is kept
  std::string verb;                   // before the lines of a text: "runs", "says", "points to"
  std::string file;                   // where the rule is written
  int line = 0;
  std::vector<std::string> patterns, except;  // as written
};

class Catalogue {
 public:
  // One file's text; used by load() and by tests.
  Result<void> add(std::string_view text, const std::string& file, bool shipped);
  // `own` may be empty or absent.
  static Result<Catalogue> load(const std::string& shipped, const std::string& own);

  const std::vector<Rule>& rules() const { return rules_; }
  const Rule& rule(std::size_t id) const { return rules_[id]; }
  const Matcher& matcher() const { return matcher_; }
  // Is this file, matched by the rule's patterns, one that the rule leaves out?
  bool excepted(std::size_t id, std::string_view path) const;
  // A folder of somebody else's packages (`node_modules`), by its folded name.
  bool is_dependency_folder(std::string_view folded_name) const;

 private:
  std::vector<Rule> rules_;
  Matcher matcher_;
  std::vector<Matcher> except_;  // by rule
  std::vector<std::string> dependencies_;
};

}  // namespace bulkhead::trust
