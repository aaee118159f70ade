#include "credential/token.h"

#include "base/random.h"

namespace bulkhead {

std::string make_token(std::string_view expose_prefix) {
  return std::string(expose_prefix) + "bulkhead-" + random_hex(32);
}

namespace {

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

}  // namespace

TokenSlot make_slot(const Credential& credential) {
  if (credential.carrier == Credential::Carrier::sigv4) {
    // As long as AWS's own, which some tools check; what is secret of it is the second half.
    return {.credential = credential.name,
            .token = "AKIABULKHEAD" + upper(random_hex(4)),
            .carrier = credential.carrier,
            .header = {},
            .basic_user = {},
            .signing_key = random_hex(20),
            .region = credential.region,
            .service = credential.service};
  }
  TokenSlot slot{.credential = credential.name,
                 .token = make_token(credential.expose_prefix),
                 .carrier = credential.carrier,
                 .header = credential.header,
                 .basic_user = credential.basic_user,
                 .issued = credential.source == Credential::Source::answer};
  if (credential.login) {
    slot.issued = true;
    slot.jwt = !credential.login->claims.empty();
    slot.refresh = make_token("refresh-");
  }
  return slot;
}

}  // namespace bulkhead
