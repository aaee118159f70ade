// Modes rw and rw-no-delete: what sessions changed in a folder that the host could execute or obey. Nothing of it can
// be held, the host has it already; so it is said, and kept until somebody has looked at it: one file per folder in
// ~/.local/state/bulkhead/handoff/ (docs/formats.md), named as what is trusted is (trust/pins.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"
#include "trust/handoff.h"
#include "trust/snapshot.h"

namespace bulkhead::handoff {

// What is not kept of the catalogue is written out: another version may have another one.
struct LiveFile {
  trust::Handed handed;  // `rule` means nothing here
  std::string id, who, trigger;
  bool secret = false;              // no line of it is shown
  std::optional<std::string> text;  // what it said before, where that was kept
  std::string session, time;        // that changed it last, and when that had ended
};

struct LiveFolder {
  trust::Project project;     // path, inode and birth of the folder
  std::string session, time;  // the last one that could write it, and when that had ended
  std::vector<LiveFile> files;
  std::size_t more = 0;    // that were too many to be listed
  std::string incomplete;  // why not all is known; empty: all is
};

// What of `folder` is not as it was, and counts (trust::classify). `pinned`: what the user trusts there needs no word.
struct Compared {
  std::vector<LiveFile> files;
  std::string incomplete;
};
Result<Compared> compare(int folder, const trust::Snapshot& before, const trust::Catalogue& catalogue,
                         const trust::Project* pinned);

// How a file stands now.
enum class Now {
  as_left,  // as the session left it
  changed,  // somebody changed it since
  back,     // as it was before
  trusted,  // `bulkhead trust` has shown it
};
Now state_of(const LiveFile& file, int folder, const trust::Project* pinned);
// What it says now, if it is what the session left and a text. Nothing else.
std::optional<std::string> text_now(const LiveFile& file, int folder);

class LiveStore {
 public:
  // Held as long as this lives: sessions that end at the same time don't forget each other's files. Makes the folder
  // with `make`; without one nothing was left.
  static Result<LiveStore> open(const session::Paths& paths, bool make);

  std::optional<LiveFolder> find(const trust::Project& folder, std::string& problem) const;
  // By path; what can't be read is named in `problems`.
  std::vector<LiveFolder> list(std::vector<std::string>& problems) const;
  // Without files, it is removed.
  Result<void> save(const LiveFolder& folder) const;
  // For what is kept in the folder besides (watch.h).
  int folder() const { return folder_.get(); }

 private:
  Result<LiveFolder> read(const std::string& key) const;
  UniqueFd folder_, lock_;
};

// What a session has changed joins what earlier ones left: of the same file, what it was before the first of them.
void join(LiveFolder& into, std::vector<LiveFile> files);

}  // namespace bulkhead::handoff
