// An agent's own login (policy.h): the file on the host, what of it the session gets, and what is written back to it.
// Pure functions over its text; login_main.cc is the process that holds the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "credential/secret.h"
#include "gateway/gateway.h"
#include "policy/policy.h"

namespace bulkhead {

inline constexpr std::size_t max_login_file = 64 * 1024;

struct LoginTokens {
  Secret access, refresh;
  Secret id;  // empty: there is none
};
bool same(const LoginTokens& a, const LoginTokens& b);

// Refused: no JSON object, a token that is missing (Error::code is then ENOENT: nobody is logged in), empty, longer
// than max_secret or not printable.
Result<LoginTokens> read_login(const Login& login, std::string_view text);

// The file that the session finds: every token is one of the session's, the access token's number is 1; of the rest
// only what the policy keeps.
Result<std::string> login_for_session(const Login& login, std::string_view text, const TokenSlot& slot);

// What the workload holds in place of the access token `real`: TOKEN-N, or where the slot says so a JWT with the claims
// of `real` that may be read, no signature, and TOKEN-N for its third part.
Result<std::string> session_access(const TokenSlot& slot, const Login& login, std::uint32_t number,
                                   std::string_view real);
// The same for an ID token; nothing takes what it holds.
Result<std::string> session_id_token(const Login& login, std::string_view real);

// The host's file with new tokens in it, and everything else as it was. An empty one stays. `expires_in`: seconds from
// `now`; 0 = unknown, and the file then says that it has ended.
Result<std::string> renewed_login(const Login& login, std::string_view text, const LoginTokens& tokens,
                                  std::uint64_t expires_in, std::chrono::system_clock::time_point now);

}  // namespace bulkhead
