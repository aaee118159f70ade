// Which names the workload must not change: those that the host's tools run or obey (trust/catalogue.h: what runs and
// what instructs; build inputs are not among them). Judged is the whole path of an entry as it is spelled on the host,
// each name folded (trust/spelling.h), and what an operation would make of it:
//
//   - a name itself; a symbolic link also where a pattern only begins (`.claude -> elsewhere`)
//   - what lies below a folder that gets another path: neither may a control file leave its place, nor may anything
//     become one by where it is then (`mv hooks .git/`)
//   - a folder that becomes a repository by getting HEAD, objects and refs: what is in it then counts as in `.git`
//   - the file behind a control file: another hard link of it, and what a symbolic link of the host's at such a name
//     leads to
//
// It is asked before each operation, about names alone, so nothing hangs on what the host does to the files meanwhile.
// Several threads at once; whoever calls holds paths still (names.h).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "keep/place.h"
#include "trust/pattern.h"

namespace bulkhead::keep {

// What the supervisor says of one rule of the catalogue, that runs or instructs.
struct ControlRule {
  std::string id;
  std::vector<std::string> patterns, except;
};

class Protection {
 public:
  Protection();  // protects nothing
  // `allowed`: patterns (trust/pattern.h); what they name may be written, and all that is below it. `base`: where the
  // folder is on the host, because its own names may begin a pattern.
  static Result<Protection> make(const std::vector<ControlRule>& rules, const std::vector<std::string>& allowed,
                                 const std::string& base);
  Protection(Protection&&) noexcept;
  Protection& operator=(Protection&&) noexcept;
  ~Protection();

  bool on() const;

  // Each is an error with EROFS where it is protected, whose message is the rule's id; with another code where that
  // could not be told. Paths are relative to the tree's root.
  //
  // The entry at `path` is about to be changed or removed, or something made there (`made`).
  Result<void> entry(const Tree& tree, std::string_view path, bool is_link, bool made) const;
  // The folder at `from` is about to get the path `to`.
  Result<void> moved_folder(const Tree& tree, std::string_view from, std::string_view to) const;
  // The file is about to change, by whatever name it was found.
  Result<void> file(const Tree& tree, const struct stat& st) const;

  // The host put something there. Where that is a link at a control file's name, it is found out before the next answer
  // where it leads.
  void host_made(const Tree& tree, std::string_view path) const;
  void look_again() const;

  // Making this name may turn the folder it is in into a repository: nothing else may be made in it meanwhile.
  static bool completes(std::string_view name);

 private:
  struct Rules;
  struct Behind;
  class Look;
  // As it was found later than `since` (nanoseconds of the clock that stamps files).
  Result<std::shared_ptr<const Behind>> behind(const Tree& tree, std::int64_t since) const;

  std::unique_ptr<Rules> rules_;
};

}  // namespace bulkhead::keep
