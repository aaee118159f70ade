// What hides control files from a session: a folder to be laid over the project by overlayfs, in which every path to
// hide is a whiteout (a character device 0:0, which needs no privilege since Linux 5.8) and every folder above it a
// plain one. Nothing of the project is touched, and nothing is left on the host but this folder. It hides names, not
// files: what the host does to the project meanwhile changes nothing (a bind over a file falls off when that file is
// renamed).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::trust {

// Fills `folder`, which must be empty, with whiteouts for `paths` (Verdict::to_mask: relative, none below another).
// "." can't be masked and is refused: a session must not have such a project at all.
// The project, `below`, is looked at only for what a folder above a whiteout is there: overlayfs takes mode and times
// of a merged folder from the upper one, so each gets the project's mode.
Result<void> make_masks(int folder, int below, const std::vector<std::string>& paths);

}  // namespace bulkhead::trust
