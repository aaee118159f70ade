// Where a secret comes from. Read by bulkhead-credential, on the host, before anything hostile runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "credential/secret.h"
#include "policy/policy.h"

namespace bulkhead {

inline constexpr std::size_t max_secret = 16 * 1024;       // what fits a header
inline constexpr std::size_t max_source_read = 64 * 1024;  // what a file or a program may give

// The host's environment as KEY=value, NUL-terminated, passed explicitly: this is where env: looks, what programs run
// with, where they are found and whose HOME `file:~/…` means. The strings stay the caller's.
struct SourceContext {
  std::vector<const char*> environment;
  std::chrono::milliseconds command_timeout{30'000};
};

struct SourceRead {
  Secret secret;
  std::vector<std::string> notes;  // worth a warning: readable by others, unusually short
};

//   env:VARIABLE
//   file:PATH                  a regular file; `~/` is HOME
//   command:SHELL COMMAND      what it prints; /bin/sh, the whole environment, complaints go to the terminal
//   secret-service:NAME=VALUE,…  the item with these attributes in the desktop's keyring, by secret-tool(1), which is
//                              given the session bus and nothing else of the environment
//   systemd-creds:NAME         $CREDENTIALS_DIRECTORY/NAME in a unit (systemd.exec(5)), else /etc/credstore.encrypted/
//   systemd-creds:PATH         an encrypted file, by systemd-creds(1)
//
// One trailing newline is trimmed. Refused: nothing at all, more than max_secret, control characters (CR, LF, NUL and
// kin would end the header it travels in), blanks at either end where the carrier can't keep them. Error::code is
// ENOENT when the source is simply not there (an `optional` credential then stays closed); any other code means that
// it is there and wrong.
Result<SourceRead> read_secret(const Credential& credential, const SourceContext& context);

// Does reading it start a program?
bool runs_a_program(Credential::Source source);

}  // namespace bulkhead
