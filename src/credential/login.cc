#include "credential/login.h"

#include <errno.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "credential/exchange.h"
#include "credential/source.h"

namespace bulkhead {
namespace {

using nlohmann::ordered_json;

// What stands at "a.b", or null.
const ordered_json* at(const ordered_json& document, const std::string& place) {
  const ordered_json* here = &document;
  for (const std::string& key : split(place, '.')) {
    if (!here->is_object()) return nullptr;
    const auto found = here->find(key);
    if (found == here->end()) return nullptr;
    here = &*found;
  }
  return here;
}

// The same to be written to; objects on the way are made.
ordered_json& make(ordered_json& document, const std::string& place) {
  ordered_json* here = &document;
  for (const std::string& key : split(place, '.')) {
    if (!here->is_object()) *here = ordered_json::object();
    here = &(*here)[key];
  }
  return *here;
}

Result<ordered_json> parse(std::string_view text) {
  ordered_json document = ordered_json::parse(text, nullptr, false);
  if (!document.is_object()) return fail("the login's file is no JSON object");
  return document;
}

std::string written(const ordered_json& document) {
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<Secret> token_at(const ordered_json& document, const std::string& place, bool needed) {
  const ordered_json* found = place.empty() ? nullptr : at(document, place);
  const std::string shown = "\"" + escape_for_terminal(place, 100) + "\"";
  if (found == nullptr || found->is_null()) {
    if (!needed) return Secret();
    return fail("the login's file has no token at " + shown + "; log in on the host", ENOENT);
  }
  const auto* text = found->get_ptr<const std::string*>();
  if (text == nullptr || text->size() < 8 || text->size() > max_secret ||
      !std::ranges::all_of(*text, [](char c) { return c > 0x20 && c < 0x7f; })) {
    return fail("what the login's file has at " + shown + " is no token; log in again on the host");
  }
  return Secret(*text);
}

// RFC 4648 §5, without padding.
std::string base64url(std::string_view bytes) {
  std::string text(base64(bytes).reveal());
  text.resize(std::min(text.find('='), text.size()));
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

std::string from_base64url(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = digits.find(c);
    if (value == std::string_view::npos) return {};
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

// RFC 7519, of which only the claims are taken.
Result<std::string> look_alike(const Login& login, std::string_view real, std::string_view third) {
  const std::size_t first = real.find('.'), second = real.rfind('.');
  ordered_json claims;
  if (first != std::string_view::npos && second > first + 1 && real.find('.', first + 1) == second) {
    std::string payload = from_base64url(real.substr(first + 1, second - first - 1));
    claims = ordered_json::parse(payload, nullptr, false);
    wipe(payload);
  }
  if (!claims.is_object()) return fail("a token of the login is no JWT, as `claims` in its policy says it is");
  ordered_json kept = ordered_json::object();
  for (const std::string& name : login.claims) {
    if (const auto found = claims.find(name); found != claims.end()) kept[name] = *found;
  }
  return base64url(R"({"alg":"none","typ":"JWT"})") + "." +
         base64url(kept.dump(-1, ' ', true, ordered_json::error_handler_t::replace)) + "." + std::string(third);
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

bool same(const LoginTokens& a, const LoginTokens& b) {
  return a.access.reveal() == b.access.reveal() && a.refresh.reveal() == b.refresh.reveal();
}

Result<LoginTokens> read_login(const Login& login, std::string_view text) {
  BH_TRY(const ordered_json document, parse(text));
  LoginTokens tokens;
  BH_TRY(tokens.access, token_at(document, login.access, true));
  BH_TRY(tokens.refresh, token_at(document, login.refresh, true));
  BH_TRY(tokens.id, token_at(document, login.id, false));
  return tokens;
}

Result<std::string> session_access(const TokenSlot& slot, const Login& login, std::uint32_t number,
                                   std::string_view real) {
  std::string token = slot.token + "-" + std::to_string(number);
  if (!slot.jwt) return token;
  return look_alike(login, real, token);
}

Result<std::string> session_id_token(const Login& login, std::string_view real) {
  return look_alike(login, real, "bulkhead");
}

Result<std::string> login_for_session(const Login& login, std::string_view text, const TokenSlot& slot) {
  BH_TRY(const ordered_json document, parse(text));
  BH_TRY(const LoginTokens tokens, read_login(login, text));
  ordered_json out = ordered_json::object();
  for (const std::string& place : login.keep) {
    if (const ordered_json* found = at(document, place)) make(out, place) = *found;
  }
  for (const std::string* place : {&login.expires, &login.refreshed}) {
    const ordered_json* found = place->empty() ? nullptr : at(document, *place);
    if (found != nullptr && (found->is_number() || found->is_string())) make(out, *place) = *found;
  }
  BH_TRY(const std::string access, session_access(slot, login, 1, tokens.access.reveal()));
  make(out, login.access) = access;
  make(out, login.refresh) = slot.refresh;
  if (!tokens.id.empty()) {
    BH_TRY(const std::string id, session_id_token(login, tokens.id.reveal()));
    make(out, login.id) = id;
  }
  std::string result = written(out);
  // A token that stands in a second place, which the policy keeps, is none of the session's.
  for (const Secret* token : {&tokens.access, &tokens.refresh, &tokens.id}) {
    if (!token->empty() && result.find(token->reveal()) != std::string::npos) {
      return fail("the login's file has a token where its policy wants to keep what stands there");
    }
  }
  return result;
}

Result<std::string> renewed_login(const Login& login, std::string_view text, const LoginTokens& tokens,
                                  std::uint64_t expires_in, std::chrono::system_clock::time_point now) {
  BH_TRY(ordered_json document, parse(text));
  make(document, login.access) = tokens.access.reveal();
  if (!tokens.refresh.empty()) make(document, login.refresh) = tokens.refresh.reveal();
  if (!tokens.id.empty() && !login.id.empty()) make(document, login.id) = tokens.id.reveal();
  const auto ends = now + std::chrono::seconds(expires_in);
  if (!login.expires.empty()) {
    make(document, login.expires) =
        std::chrono::duration_cast<std::chrono::milliseconds>(ends.time_since_epoch()).count();
  }
  if (!login.refreshed.empty()) make(document, login.refreshed) = rfc3339(now);
  return written(document);
}

}  // namespace bulkhead
