// What is kept for later in the user's own folders is believed only if nobody else can have written it.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead {

// How it is said: "SUBJECT can't be believed: PATH belongs to uid 7; REMEDY".
struct OwnStore {
  const char* subject;
  const char* remedy;
};

// `fd`: belongs to this process's uid, and nobody else may write to it.
Result<void> judge_own(int fd, const std::string& path, const OwnStore& store);
// The folder `name` in `parent`, judged; no link. `path` is for messages.
Result<UniqueFd> own_folder(int parent, const std::string& name, const std::string& path, const OwnStore& store);

}  // namespace bulkhead
