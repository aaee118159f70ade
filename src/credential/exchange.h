// Carrier + secret -> the one header that carries it upstream. Only egress calls this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "credential/secret.h"
#include "gateway/gateway.h"

namespace bulkhead {

struct CredentialHeader {
  std::string name;  // lower case
  Secret value;
};

//   header  NAME: secret
//   bearer  authorization: Bearer secret
//   basic   authorization: Basic base64(basic_user ":" secret)
// Fails when the carrier is `header` without a name, or when a basic user contains ":" (RFC 7617:
// it would move the boundary between user and password).
Result<CredentialHeader> exchange(const TokenSlot& slot, const Secret& secret);

// Of a sigv4 credential: ACCESS_KEY_ID, SECRET_KEY and perhaps SESSION_TOKEN. Views into `secret`.
std::vector<std::string_view> key_pair_parts(std::string_view secret);

// base64 (RFC 4648 §4, padded).
Secret base64(std::string_view bytes);

}  // namespace bulkhead
