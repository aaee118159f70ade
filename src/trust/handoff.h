// On the way out: which of a session's changes the host could execute or obey, who would, and when. What is visible to
// every session (build inputs) counts here too; so does what is newly executable in a folder that PATHs name.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "trust/catalogue.h"
#include "trust/content.h"
#include "trust/pins.h"

namespace bulkhead::trust {

// What somebody's word about a file is bound to: its content and whether it can be executed, or where a link leads.
struct Fingerprint {
  enum class Kind { none, file, link, folder };
  Kind kind = Kind::none;  // none: nothing is there
  bool executable = false;
  std::string target;
  std::string sha256;  // of a file; of a link's goal where the caller follows links. Empty: it could not be read
  bool operator==(const Fingerprint&) const = default;
};
Fingerprint fingerprint_of(const Content& content);

// One entry, as whoever compared the trees found it: relative to the mounted folder, as it is spelled there. What was a
// file and is a folder now is two changes.
struct Change {
  std::string path;
  bool existed = false, exists = false;
  bool folder = false;  // made by the session; any other change of a folder is none here
};

// The two trees. They are asked only about what some rule could be about.
class Trees {
 public:
  enum class Side { before, after };
  Trees() = default;
  Trees(const Trees&) = delete;
  Trees& operator=(const Trees&) = delete;
  virtual ~Trees() = default;
  // An entry that is there on that side. Where a file is too large to be judged, its sha256 may be there all the same.
  virtual Content read(const std::string& path, Side side) = 0;
  // The names in a folder; none: it is not there. `after` may name more than there is.
  virtual std::vector<std::string> names(const std::string& folder, Side side) = 0;
};

// What else has to be known of the folder.
struct Surroundings {
  // The folder's own path on the host: a mounted `.git/hooks` or `~/.claude` is one by its name, too.
  std::string above;
  // Links in it that lead to another place in it: what changes there changes what they stand for.
  struct Alias {
    std::string path, leads_to;
  };
  std::vector<Alias> links;
};

struct HandoffLimits {
  std::size_t files = 100'000;  // that are read
  std::size_t bytes = std::size_t{512} << 20;
  std::chrono::milliseconds time{30'000};
};

struct Handed {
  std::string path;
  std::size_t rule = 0;  // in the catalogue
  Class kind = Class::build;
  bool added = false, removed = false;
  std::vector<std::string> does;  // hostile text; what it would do now, or that it is gone
  Fingerprint before, after;
  std::string problem;   // why nobody can say yes to it as it is; empty: somebody can
  std::string packages;  // the outermost folder of other people's packages that it is in; may be empty
};

struct Classified {
  // Those that need somebody's word, runs first, then instructs, then build; by path within each.
  std::vector<Handed> handed;
  // Of all that exist now and that a rule names, those judged harmless included: what was judged.
  std::map<std::string, Fingerprint> judged;
};

// A change counts if either side does: what is removed may have held something back. Files that can't be read or parsed
// count, and so does everything behind the limits. What differs in nothing but times, or in modes that don't concern
// execution, is no change.
Classified classify(const Catalogue& catalogue, const std::vector<Change>& changes, Trees& trees,
                    const Surroundings& around = {}, const HandoffLimits& limits = {});

// Is it what the user trusted under this name (pins.h)? Links never are: what they lead to may change.
bool is_trusted(const Handed& handed, const Project* pinned);

}  // namespace bulkhead::trust
