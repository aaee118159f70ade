// Accounts of this machine, as /etc/passwd has them: getpwuid(3) needs NSS, which a static program does not have. A
// user known only to LDAP or SSSD is nameless here.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace bulkhead {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name, home;
};
std::optional<Account> find_account(uid_t uid);

}  // namespace bulkhead
