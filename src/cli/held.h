// What apply, diff and handoff share: showing files that the host could execute or obey, and who says yes to them.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/common.h"
#include "handoff/events.h"
#include "handoff/gate.h"
#include "trust/catalogue.h"
#include "trust/handoff.h"
#include "trust/pattern.h"

namespace bulkhead::cli {

// The shipped list of control files and the user's own.
Result<trust::Catalogue> control_files(const session::Paths& paths);

// A handed file with all that a person is told of it.
struct HeldFile {
  const trust::Handed* handed = nullptr;
  std::string id, who, trigger;  // of the rule
  bool secret = false;           // no line of it is shown
  std::string accepted;          // by whom already; empty: nobody
  std::string note;              // what else is to be said
  // Its texts, when they are asked for; a side that can't be shown line by line has none.
  struct Texts {
    std::optional<std::string> before, after;
  };
  std::function<Result<Texts>()> texts;
};
HeldFile held_file(const handoff::GateFile& file, const trust::Catalogue& catalogue, const review::Review& review);

// "runs; git"
std::string class_and_who(const HeldFile& file);

struct ShowOptions {
  std::size_t most_lines = 200;  // of a difference
  bool each = false;             // those in folders of packages, too
};
// All of it, one below the other, ready for a terminal. An error when something was changed while it was looked at.
Result<std::string> told(const std::vector<HeldFile>& files, const ShowOptions& options, const Colours& colours);
// `diff`: with the difference.
Result<nlohmann::json> to_json(const HeldFile& file, bool diff);

// --yes-to: patterns as the list of control files has them (trust/pattern.h), or `all`.
class YesTo {
 public:
  static Result<YesTo> parse(const std::vector<std::string>& patterns);
  // The first that fits, as it was written; empty: none.
  std::string match(const std::string& path) const;
  bool any() const { return !patterns_.empty(); }
  // For those that fit nothing in `files`.
  std::vector<std::string> idle(const std::vector<HeldFile>& files) const;

 private:
  struct One {
    std::string text;
    std::optional<trust::Pattern> pattern;  // none: all
  };
  static bool fits(const One& one, const std::string& path);
  std::vector<One> patterns_;
};

// What was said about files, and of which.
struct Word {
  std::vector<handoff::Decision> decisions;
  std::set<std::string> yes;  // paths
  bool quit = false;          // nothing is to be done at all
};
// By --yes-to, then, if `ask`, by the person at the terminal, item by item; the rest is held. What has a `problem` is.
Result<Word> decide(const std::vector<HeldFile>& files, const YesTo& yes_to, bool ask);

}  // namespace bulkhead::cli
