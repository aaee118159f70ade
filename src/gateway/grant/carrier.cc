#include "gateway/grant/carrier.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "gateway/grant/sigv4.h"

namespace bulkhead::grant {
namespace {

using namespace std::string_view_literals;

// Headers that services read keys from and whose names give nothing away to the patterns below.
constexpr std::array header_names{"authorization"sv,
                                  "proxy-authorization"sv,
                                  "cookie"sv,
                                  "cookie2"sv,
                                  "x-authorization"sv,
                                  "apikey"sv,
                                  "x-apikey"sv,
                                  "x-mbx-apikey"sv,
                                  "x-honeycomb-team"sv,
                                  "x-jfrog-art-api"sv,
                                  "npm-otp"sv,
                                  "x-github-otp"sv,
                                  "x-auth-user"sv,
                                  "x-auth-email"sv,
                                  "x-auth-pass"sv,
                                  "x-password"sv,
                                  "x-secret"sv,
                                  "x-token"sv,
                                  "token"sv,
                                  "password"sv,
                                  "x-credentials"sv,
                                  "x-session"sv,
                                  "x-session-token"sv,
                                  "x-signature"sv,
                                  "signature"sv,
                                  "signature-input"sv,
                                  "dpop"sv,
                                  "x-client-cert"sv,
                                  "x-aws-ec2-metadata-token"sv,
                                  "x-parse-session"sv,
                                  "x-ms-blob-sas"sv,
                                  "x-amz-credential"sv,
                                  "auth"sv,
                                  "key"sv,
                                  "jwt"sv,
                                  "secret"sv,
                                  "bearer"sv,
                                  "credential"sv,
                                  "credentials"sv,
                                  "sessionid"sv,
                                  "remote-user"sv,
                                  "x-remote-user"sv,
                                  "x-remote-group"sv,
                                  "x-webauth-user"sv};
constexpr std::array header_starts{"x-auth-"sv};
constexpr std::array header_endings{
    "-token"sv,     "-api-key"sv,       "-apikey"sv,    "-key"sv,        "-secret"sv,      "-auth"sv,
    "-password"sv,  "-passwd"sv,        "-signature"sv, "-credential"sv, "-credentials"sv, "-jwt"sv,
    "-accesskey"sv, "-authorization"sv, "-cookie"sv,    "-sessionid"sv,  "-pat"sv};
// End like the above and carry nothing of the kind.
constexpr std::array harmless{"idempotency-key"sv, "x-idempotency-key"sv, "surrogate-key"sv, "sec-websocket-key"sv};

// Of query keys only the letters and digits count, so these are spelled without the rest.
constexpr std::array query_names{"key"sv,
                                 "token"sv,
                                 "auth"sv,
                                 "authorization"sv,
                                 "bearer"sv,
                                 "jwt"sv,
                                 "sig"sv,
                                 "signature"sv,
                                 "pwd"sv,
                                 "idtoken"sv,
                                 "jobtoken"sv,
                                 "oauthtoken"sv,
                                 "bearertoken"sv,
                                 "refreshtoken"sv,
                                 "sessiontoken"sv,
                                 "sessionid"sv,
                                 "sid"sv,
                                 "hmac"sv,
                                 "otp"sv,
                                 "assertion"sv,
                                 "apikey"sv,
                                 "accesskey"sv,
                                 "accesskeyid"sv,
                                 "awsaccesskeyid"sv,
                                 "googleaccessid"sv,
                                 "appkey"sv,
                                 "authkey"sv,
                                 "subscriptionkey"sv,
                                 "ossaccesskeyid"sv,
                                 "clientassertion"sv,
                                 "securitytoken"sv,
                                 "authsignature"sv,
                                 "licensekey"sv};
constexpr std::array query_starts{"xamz"sv, "xgoog"sv, "oauth"sv, "xoss"sv, "xcos"sv};
constexpr std::array query_endings{"accesstoken"sv, "apikey"sv,     "apitoken"sv,   "authtoken"sv,  "privatetoken"sv,
                                   "usertoken"sv,   "secret"sv,     "secretkey"sv,  "privatekey"sv, "password"sv,
                                   "passwd"sv,      "passphrase"sv, "credential"sv, "credentials"sv};
// Rack, Symfony, Express, Salesforce, Google.
constexpr std::array query_methods{"method"sv,          "httpmethod"sv,          "xhttpmethod"sv,
                                   "xmethodoverride"sv, "xhttpmethodoverride"sv, "httpmethodoverride"sv};

// Programs in a browser can't set a header on a WebSocket, so services take keys among the subprotocols: OpenAI's and
// Kubernetes' ways, and a word for a token with the token behind it.
constexpr std::array protocol_starts{"openai-insecure-api-key"sv, "base64url-bearer-authorization"sv};
constexpr std::size_t longest_protocol = 64;

std::string letters_and_digits(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c - 'A' + 'a');
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      out += c;
  }
  return out;
}

template <class List>
bool is_in(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool same_letters(std::string_view a, std::string_view lower) {
  return std::ranges::equal(a, lower, {}, [](char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; });
}

// "scheme rest", with exactly one blank between.
std::optional<std::string_view> after_scheme(std::string_view value, std::string_view scheme) {
  const std::size_t blank = value.find(' ');
  if (blank == std::string_view::npos || !same_letters(value.substr(0, blank), scheme)) return std::nullopt;
  return value.substr(blank + 1);
}

// RFC 4648 §4, padded and canonical: what decodes must encode to the same text again.
std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 4096) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int n = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                  reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(static_cast<std::size_t>(n) - padding);
  std::string again((out.size() + 2) / 3 * 4 + 1, '\0');
  ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(again.data()), reinterpret_cast<const unsigned char*>(out.data()),
                    static_cast<int>(out.size()));
  again.pop_back();
  if (again != text) return std::nullopt;
  return out;
}

bool holds_token(std::string_view value, const TokenSlot& slot) {
  switch (slot.carrier) {
    case Credential::Carrier::header:
      return equal(value, slot.token);
    case Credential::Carrier::bearer: {
      const auto token = after_scheme(value, "bearer");
      return token && equal(*token, slot.token);
    }
    case Credential::Carrier::basic: {
      const auto encoded = after_scheme(value, "basic");
      const auto pair = encoded ? from_base64(*encoded) : std::nullopt;
      return pair && equal(*pair, slot.basic_user + ":" + slot.token);
    }
    case Credential::Carrier::sigv4:  // judge_head()
      break;
  }
  return false;
}

// Of "HEAD.CLAIMS.TOKEN" the token, for slots whose tokens look like JWTs. The rest only says what the workload may
// know anyway, and goes nowhere.
std::string_view last_part(std::string_view value) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  const std::size_t second = value.rfind('.');
  const std::size_t first = value.find('.');
  if (first == std::string_view::npos || first == second || first == 0 || second == first + 1) return {};
  if (!std::ranges::all_of(value.substr(0, first), plain)) return {};
  if (!std::ranges::all_of(value.substr(first + 1, second - first - 1), plain)) return {};
  return value.substr(second + 1);
}

// "TOKEN-N": the number, in the one way it is written.
std::optional<std::uint32_t> issued_number(std::string_view value, const TokenSlot& slot) {
  std::optional<std::string_view> rest = value;
  if (slot.carrier == Credential::Carrier::bearer) rest = after_scheme(value, "bearer");
  const std::size_t length = slot.token.size();
  if (rest && slot.jwt) rest = last_part(*rest);
  if (!rest || rest->size() <= length + 1 || !equal(rest->substr(0, length), slot.token)) return std::nullopt;
  const std::string_view digits = rest->substr(length + 1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if ((*rest)[length] != '-' || !whole || digits.front() == '0' || number > lane::max_issued_number) {
    return std::nullopt;
  }
  return number;
}

// One of what the workload was given for it.
bool holds_any(std::string_view text, const TokenSlot& token) {
  for (const std::string* one : {&token.token, &token.signing_key, &token.refresh}) {
    if (!one->empty() && text.find(*one) != std::string_view::npos) return true;
  }
  return false;
}

CarrierVerdict refuse(std::uint16_t status, std::string reason, std::string text) {
  return {.ok = false,
          .slot_filled = false,
          .issued = 0,
          .status = status,
          .reason = std::move(reason),
          .text = std::move(text)};
}

}  // namespace

std::string_view slot_header(const TokenSlot& slot) {
  return slot.carrier == Credential::Carrier::header ? std::string_view(slot.header) : "authorization"sv;
}

std::string_view folded_name(std::string_view name, std::string& scratch) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (std::all_of(name.begin(), name.end(), plain)) return name;
  scratch = name;
  std::replace_if(scratch.begin(), scratch.end(), [&](char c) { return !plain(c); }, '-');
  return scratch;
}

bool carries_credential(std::string_view name) {
  std::string scratch;
  name = folded_name(name, scratch);
  if (is_in(header_names, name)) return true;
  if (is_in(harmless, name)) return false;
  return std::any_of(header_starts.begin(), header_starts.end(),
                     [&](std::string_view start) { return name.starts_with(start); }) ||
         std::any_of(header_endings.begin(), header_endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

bool query_carries_credential(std::string_view key) {
  const std::string word = letters_and_digits(key);
  return is_in(query_names, word) ||
         std::any_of(query_starts.begin(), query_starts.end(),
                     [&](std::string_view start) { return word.starts_with(start); }) ||
         std::any_of(query_endings.begin(), query_endings.end(),
                     [&](std::string_view ending) { return word.ends_with(ending); });
}

bool query_overrides(std::string_view key) {
  // A plain `method` is an ordinary parameter of many services; the others are not.
  if (lower_ascii(key) == "method") return false;
  return is_in(query_methods, letters_and_digits(key));
}

bool protocol_carries_credential(std::string_view list) {
  std::string scratch;
  for (const std::string& item : split(list, ',')) {
    const auto begin = std::min(item.find_first_not_of(" \t"), item.size());
    const std::string lower =
        lower_ascii(std::string_view(item).substr(begin, item.find_last_not_of(" \t") + 1 - begin));
    const std::string_view name = folded_name(lower, scratch);
    if (name.size() > longest_protocol || carries_credential(lower)) return true;
    if (std::any_of(protocol_starts.begin(), protocol_starts.end(),
                    [&](std::string_view start) { return name.starts_with(start); })) {
      return true;
    }
  }
  return false;
}

CarrierVerdict judge_carriers(const lane::Headers& headers, std::string_view raw_target, const Target& target,
                              const TokenSlot* slot, const std::vector<TokenSlot>& tokens) {
  const std::string_view slot_name = slot != nullptr ? slot_header(*slot) : std::string_view();
  CarrierVerdict verdict{.ok = true, .slot_filled = false, .issued = 0, .status = 403, .reason = {}, .text = {}};
  std::string scratch, other, slot_scratch;
  const std::string_view slot_folded = folded_name(slot_name, slot_scratch);
  for (const auto& [name, value] : headers) {
    const std::string_view folded = folded_name(name, scratch);
    const bool is_slot = slot != nullptr && name == slot_name;
    // Another spelling of the slot is a second slot to a server that doesn't tell them apart.
    const bool is_carrier = (slot != nullptr && folded == slot_folded) || carries_credential(name);
    if (is_carrier) {
      // Twice the same header: one server takes the first, another the last, a third joins them
      // (attack C01).
      const auto same = std::count_if(headers.begin(), headers.end(),
                                      [&](const auto& h) { return folded_name(h.first, other) == folded; });
      if (same > 1)
        return refuse(400, "carrier", "the request has more than one " + escape_for_terminal(name, 60) + " header");
    }
    if (is_slot && slot->carrier == Credential::Carrier::sigv4) {
      if (auto refused = sigv4::judge_head(value, headers, *slot)) {
        return refuse(403, std::move(refused->reason), std::move(refused->text));
      }
      verdict.slot_filled = true;
    } else if (is_slot && slot->issued) {
      const auto number = issued_number(value, *slot);
      if (!number) {
        return refuse(403, "foreign-credential",
                      "the " + escape_for_terminal(name, 60) +
                          " header holds something other than what this session was handed out for credential \"" +
                          slot->credential + "\", which is its token with a number behind it");
      }
      verdict.slot_filled = true;
      verdict.issued = *number;
    } else if (is_slot) {
      if (!holds_token(value, *slot)) {
        const bool joined = value.find(',') != std::string::npos && slot->carrier != Credential::Carrier::header;
        return refuse(joined ? 400 : 403, "foreign-credential",
                      "the " + escape_for_terminal(name, 60) +
                          " header holds something other than this session's token for credential \"" +
                          slot->credential + "\"");
      }
      verdict.slot_filled = true;
    } else if (is_carrier) {
      return refuse(403, "foreign-credential",
                    "the " + escape_for_terminal(name, 60) + " header can carry a credential, and " +
                        (slot != nullptr ? "this grant's is carried in " + std::string(slot_name)
                                         : std::string("this grant has none")));
    } else if (folded == "sec-websocket-protocol" && protocol_carries_credential(value)) {
      return refuse(403, "foreign-credential",
                    "a subprotocol that can carry a credential, which no grant allows there; it goes into a header");
    } else {
      const bool leaked =
          std::any_of(tokens.begin(), tokens.end(), [&](const TokenSlot& token) { return holds_any(value, token); });
      if (leaked)
        return refuse(
            403, "carrier",
            "this session's token is in the " + escape_for_terminal(name, 60) + " header, where it is not exchanged");
    }
  }
  for (const std::string& key : target.query_keys) {
    if (query_carries_credential(key)) {
      return refuse(
          403, "foreign-credential",
          "the query key \"" + escape_for_terminal(key, 60) + "\" can carry a credential, which no grant allows there" +
              (slot != nullptr && slot->carrier == Credential::Carrier::sigv4
                   ? "; a presigned address can't be exchanged, only a request signed in its Authorization header"
                   : ""));
    }
  }
  for (const TokenSlot& token : tokens) {
    if (holds_any(raw_target, token)) {
      return refuse(403, "carrier", "this session's token is in the request target, where it is not exchanged");
    }
  }
  return verdict;
}

}  // namespace bulkhead::grant
