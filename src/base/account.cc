#include "base/account.h"

#include <pwd.h>
#include <stdio.h>

#include <memory>

namespace bulkhead {

std::optional<Account> find_account(uid_t uid) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(::fopen("/etc/passwd", "re"), ::fclose);
  if (!file) return std::nullopt;
  while (const passwd* entry = ::fgetpwent(file.get())) {  // NOLINT(concurrency-mt-unsafe): one thread
    if (entry->pw_uid == uid) return Account{entry->pw_uid, entry->pw_gid, entry->pw_name, entry->pw_dir};
  }
  return std::nullopt;
}

}  // namespace bulkhead
