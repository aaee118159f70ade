// trust/: which files of a project somebody's tools run or obey, what they would do, and whether the user has said yes
// to exactly that. A *control file* makes git, an editor, an agent or a shell act when a folder is opened. Trust is
// given to content, never to a name: a changed file is asked about again.
//
//   trust.h       judge_project(): a folder -> what nobody trusted in it, and why (this file)
//   catalogue.h   the list of control files, read from control/*.toml
//   spelling.h    names as a file system that folds case and Unicode takes them
//   pattern.h     the catalogue's patterns, and matching them against a tree or a path
//   find.h        walking a hostile tree: control files by name, bounded, no link followed
//   content.h     one file read once: bytes, hash, link target
//   judge.h       what a control file would do, in lines; git_config.h: the keys of git that act
//   reader.h      the same, said by a process that has no privilege; look.h: what is said between the two
//   pins.h        what the user trusted, on disk
//   masks.h       a folder of whiteouts that hides control files below an overlay
//   snapshot.h    what of all that is there at one moment
//   handoff.h     which changes of a session the host could execute or obey
//
// Everything here reads what strangers wrote. What comes out (paths, lines, contents) is as hostile as what went in:
// escape_for_terminal before a person sees it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "trust/catalogue.h"
#include "trust/find.h"
#include "trust/pins.h"

namespace bulkhead::trust {

struct Verdict {
  struct Item {
    Control control;
    // Empty = trusted. Else why it is not: "new", "changed", or what keeps it from ever being trusted as it is.
    std::string why;
    bool can_be_trusted = true;
    const Pinned* before = nullptr;  // what was trusted under this name; valid as long as the Project given
  };
  // runs and instructs, by path. Those in dependency folders (Control::dependency) are last.
  std::vector<Item> items;
  std::size_t build_inputs = 0;  // seen by name only
  // Not everything could be looked at: folders (masked whole, and never trusted), or ".", the project itself.
  std::vector<Unseen> unseen;

  // Of what a person is asked about: dependency folders are masked, and not asked about.
  std::size_t untrusted() const;
  bool anything() const;
  bool trusted() const { return untrusted() == 0 && !incomplete(); }
  bool incomplete() const;  // the project itself could not be looked at
  // What a session must not see until it is trusted, dependency folders included: relative paths, sorted, none below
  // another. {"."} = all of it.
  std::vector<std::string> to_mask() const;
};

// The shipped list, `data`/control, and what the user adds to it in `config`/control.
Result<Catalogue> load_catalogue(const std::string& data, const std::string& config);

// `folder` may be O_PATH. `pinned`: what was trusted in exactly this folder, or nullptr. `snapshot`: filled with what
// is there, for when the session is over (snapshot.h). `onlooker`: who else looks for something in it (find.h).
Result<Verdict> judge_project(int folder, const Catalogue& catalogue, const Project* pinned,
                              Snapshot* snapshot = nullptr, Onlooker* onlooker = nullptr);

// "this project has 3 control files nobody trusted: .envrc, .mcp.json, …": one line, escaped and bounded; empty when
// there is nothing to say. `hidden`: the session does not see them.
std::string untrusted_line(const Verdict& verdict, const std::string& path, bool hidden);

}  // namespace bulkhead::trust
