// Where managed policies are: opened first, then judged by what was opened. Every folder on the way and every file is
// root's and nobody else may write it, none is a link; else nothing starts, because rules that can't be trusted can't
// be told from rules that were taken away. Not switchable: no variable, flag or key leads elsewhere.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "policy/managed.h"

namespace bulkhead {

inline constexpr const char* managed_folder = "/etc/bulkhead/managed.d";

// Null: there is no such folder, or no *.toml in it. An error: it is there, and can't be trusted, read or understood.
// `home`: HOME.
Result<std::shared_ptr<const Managed>> find_managed(const std::string& home);

// For tests, which can't write /etc: from `start` (O_PATH) down `path`, and whose it all has to be.
Result<std::shared_ptr<const Managed>> find_managed_below(int start, const std::string& path, uid_t owner,
                                                          const std::string& home);

}  // namespace bulkhead
