// What sessions kept, and bringing it back. Read from the disk alone: whether the session lives, ended or was killed
// makes no difference. A kept original stays kept when it is restored; what stood in its place is put aside, into the
// kept folder, never thrown away.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::keep {

// One mount of one session.
struct KeptFolder {
  std::string session;
  std::string name;        // of its folder: kept/SESSION/NAME
  std::string folder;      // the mounted folder on the host
  std::string started;     // the session
  std::int64_t order = 0;  // the same, finer
};

enum class Now { missing, changed, same };
const char* name_of(Now now);

struct KeptOriginal {
  std::string path;  // relative to the mounted folder
  std::string kept;  // in the kept folder: "files/PATH", "again-1/PATH"
  char type = 'f';   // f file, l link, o other
  std::uint64_t size = 0;
  Now now = Now::missing;  // what stands at the path, against the original
};

// `store`: the state directory's kept/. Oldest first.
Result<std::vector<KeptFolder>> kept_folders(int store);
// By path. Of each path the oldest first: that is the one of the session's start.
Result<std::vector<KeptOriginal>> kept_originals(int store, const KeptFolder& of);

struct Restored {
  std::vector<std::string> files;   // paths brought back
  std::vector<std::string> aside;   // paths at which something else stood; it is in `replaced`
  std::string replaced;             // "replaced-1": in the kept folder; empty where nothing stood
  std::vector<std::string> failed;  // "PATH: why"
};
// `path`: a file, or a folder with all below it; "" is everything, and the folders' own modes and times.
Result<Restored> restore(int store, const KeptFolder& of, const std::string& path);
// What throwing it away would free, in bytes: all it has on the disk but what has a name elsewhere (an original that
// was renamed has one in the folder). What other files share (FICLONE) counts as if it were its own.
Result<std::uint64_t> kept_bytes(int store, const std::string& session);
// Throws away what one session kept.
Result<void> forget(int store, const std::string& session);

}  // namespace bulkhead::keep
