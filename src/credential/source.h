// Where a secret comes from. Read by the supervisor, on the host, before anything hostile runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "credential/secret.h"
#include "policy/policy.h"

namespace bulkhead {

inline constexpr std::size_t max_secret = 16 * 1024;       // what fits a header
inline constexpr std::size_t max_source_read = 64 * 1024;  // what a file or a command may give

// The host's environment as KEY=value, passed explicitly: this is where env: looks, what `command:`
// runs with and whose HOME `file:~/…` means.
struct SourceContext {
  std::vector<std::string> environment;
  std::chrono::milliseconds command_timeout{30'000};
};

struct SourceRead {
  Secret secret;
  std::vector<std::string> notes;  // worth a warning: readable by others, unusually short
};

// One trailing newline is trimmed. Refused: nothing at all, more than max_secret, control
// characters (CR, LF, NUL and kin would end the header it travels in), blanks at either end where
// the carrier can't keep them. Error::code is ENOENT when the source is simply not there (an
// `optional` credential then stays closed); any other code means that it is there and wrong.
Result<SourceRead> read_secret(const Credential& credential, const SourceContext& context);

}  // namespace bulkhead
