#include "credential/exchange.h"

#include <openssl/evp.h>

#include "base/text.h"

namespace bulkhead {

Secret base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock writes a NUL behind
  const int n = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                  reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  Secret result(std::string_view(out).substr(0, static_cast<std::size_t>(n)));
  wipe(out);
  return result;
}

std::vector<std::string_view> key_pair_parts(std::string_view secret) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t colon = secret.find(':');
    parts.push_back(secret.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    secret.remove_prefix(colon + 1);
  }
}

Result<CredentialHeader> exchange(const TokenSlot& slot, const Secret& secret) {
  const auto named = [&](std::string_view what) {
    return "credential \"" + escape_for_terminal(slot.credential) + "\" " + std::string(what);
  };
  if (secret.empty()) return fail(named("is empty"));
  switch (slot.carrier) {
    case Credential::Carrier::header:
      if (slot.header.empty()) return fail(named("has no header to be carried in"));
      return CredentialHeader{lower_ascii(slot.header), Secret(secret.reveal())};
    case Credential::Carrier::bearer: {
      std::string value = "Bearer ";
      value.reserve(value.size() + secret.reveal().size());  // no reallocation leaves half a secret behind
      value += secret.reveal();
      CredentialHeader header{"authorization", Secret(value)};
      wipe(value);
      return header;
    }
    case Credential::Carrier::basic: {
      if (slot.basic_user.find(':') != std::string::npos) return fail(named("has a user name with \":\" in it"));
      std::string pair;
      pair.reserve(slot.basic_user.size() + 1 + secret.reveal().size());
      pair += slot.basic_user;
      pair += ':';
      pair += secret.reveal();
      const Secret encoded = base64(pair);
      wipe(pair);
      std::string value = "Basic ";
      value.reserve(value.size() + encoded.reveal().size());
      value += encoded.reveal();
      CredentialHeader header{"authorization", Secret(value)};
      wipe(value);
      return header;
    }
    case Credential::Carrier::sigv4:
      return fail(named("is not carried, but signed with"));
  }
  return fail(named("has an unknown carrier"));
}

}  // namespace bulkhead
