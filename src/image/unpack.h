// Layers -> a folder, by umoci (Debian's package of that name), which knows tar's dialects, whiteouts, opaque folders
// and links. It reads a stranger's bytes, so it runs with nothing else: a mount namespace in which there are the
// machine's programs, the layout and the folder it writes to; no network, no other process, no variable, no privilege
// (seccomp, Landlock; started as root it is uid 65534). It is stopped when it writes more than it may, takes too long,
// or leaves the disk without room.
#pragma once

#include <string>

#include "base/result.h"
#include "image/image.h"

namespace bulkhead::image {

// `layout`: an absolute path, with one verified image "image" in it. `into`: an absolute path of an empty folder; the
// file system is `into`/root afterwards. Both of them nobody else can enter.
Result<void> unpack(const std::string& layout, const std::string& into, const Bounds& bounds);

}  // namespace bulkhead::image
