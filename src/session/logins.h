// Agents' own logins (policy.h, Credential::Source::login): for each that is on this machine a process that holds its
// file (credential/login_main.cc), and the file that the session finds in its place.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "session/credentials.h"
#include "session/helpers.h"
#include "session/identity.h"

namespace bulkhead::session {

struct LoginFile {
  std::string credential;
  std::string target;  // where the session finds it: the path as the policy has it, made absolute
  std::string real;    // the host's file, links resolved
  std::string text;    // what the session finds there
};

struct Logins {
  std::vector<Helper> helpers;  // each waits to be released
  std::vector<LoginFile> files;
  Credentials credentials;  // their tokens, the sockets of their egress, notes
};

// Starts a process for every login that some grant uses, and hears what it has read. The grants of an optional one that
// can't be used are taken out of `policy`; without a word where nobody is logged in: then a key is used. With the
// privileges of whoever starts the session; `sources` makes the folders usable for the session's uid.
Result<Logins> start_logins(Policy& policy, const Identity& identity, Sources& sources);

// Their tokens and sockets, with the others.
void add_logins(Credentials& into, Logins& logins);
// The start is on the disk: the tokens may go to their egress.
Result<void> release_logins(const std::vector<Helper>& helpers);

}  // namespace bulkhead::session
