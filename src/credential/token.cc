#include "credential/token.h"

#include "base/random.h"

namespace bulkhead {

std::string make_token(std::string_view expose_prefix) {
  return std::string(expose_prefix) + "bulkhead-" + random_hex(32);
}

TokenSlot make_slot(const Credential& credential) {
  return {.credential = credential.name,
          .token = make_token(credential.expose_prefix),
          .carrier = credential.carrier,
          .header = credential.header,
          .basic_user = credential.basic_user};
}

}  // namespace bulkhead
