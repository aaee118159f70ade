#include "gateway/grant/refresh.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "gateway/grant/json_body.h"
#include "policy/json_path.h"

namespace bulkhead::grant {
namespace {

constexpr std::size_t max_fields = 16, max_value = 8 * 1024;
constexpr std::string_view refresh_token = "refresh_token", grant_type = "grant_type";

tl::unexpected<lane::Failure> refused(const char* reason, std::string text) {
  return tl::unexpected(
      lane::Failure{403, reason, "only a refresh of this session's login is granted here: " + std::move(text)});
}

std::string in_marks(std::string_view text) {
  return "\"" + escape_for_terminal(text, 60) + "\"";
}

int digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool plain(char c) {  // what the URL standard's serialiser leaves as it is
  return is_lower(c) || is_upper(c) || is_digit(c) || std::string_view("*-._~").find(c) != std::string_view::npos;
}

// nullopt: something that a form's writer does not write.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else if (plain(text[i])) {
      out += text[i];
    } else {
      return std::nullopt;
    }
  }
  return out;
}

void encode(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (plain(c) && c != '~') {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += "0123456789ABCDEF"[byte >> 4];
      out += "0123456789ABCDEF"[byte & 15];
    }
  }
}

tl::expected<RefreshFields, lane::Failure> read_form(std::string_view body) {
  RefreshFields fields;
  for (const std::string& part : split(body, '&')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || fields.size() == max_fields) return refused("body", "the form can't be read");
    auto name = decoded(std::string_view(part).substr(0, equals));
    auto value = decoded(std::string_view(part).substr(equals + 1));
    if (!name || !value) return refused("body", "the form is written in a way that can be read in two");
    fields.emplace_back(std::move(*name), std::move(*value));
  }
  return fields;
}

tl::expected<RefreshFields, lane::Failure> read_json(std::string_view body) {
  if (const auto judged = judge_json({}, body); !judged) return refused("json", judged.error().text);
  const auto object = nlohmann::ordered_json::parse(body, nullptr, false);
  if (!object.is_object()) return refused("json", "the body is no JSON object");
  RefreshFields fields;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_string() || fields.size() == max_fields) {
      return refused("json", "its field " + in_marks(name) + " is no text");
    }
    fields.emplace_back(name, value.get<std::string>());
  }
  return fields;
}

// Words with one blank between, each of them listed; a final `*` stands for any rest.
bool consists_of(std::string_view value, const std::vector<std::string>& words) {
  return std::ranges::all_of(split(value, ' '), [&](const std::string& word) {
    return std::ranges::any_of(words, [&](const std::string& one) { return json_value_matches(one, word); });
  });
}

}  // namespace

tl::expected<RefreshFields, lane::Failure> judge_refresh(const Login& login, const TokenSlot& slot, bool form,
                                                         std::string_view body) {
  auto fields = form ? read_form(body) : read_json(body);
  if (!fields) return fields;
  bool type = false, token = false;
  for (auto field = fields->begin(); field != fields->end(); ++field) {
    const auto& [name, value] = *field;
    if (value.size() > max_value) return refused("body", "its field " + in_marks(name) + " is too long");
    if (std::ranges::count(*fields, name, &RefreshFields::value_type::first) > 1) {
      return refused("body", "its field " + in_marks(name) + " stands in it twice");
    }
    if (name == grant_type) {
      if (value != refresh_token) return refused("grant-type", "its grant_type is " + in_marks(value));
      type = true;
    } else if (name == refresh_token) {
      const bool own = !slot.refresh.empty() && value.size() == slot.refresh.size() &&
                       CRYPTO_memcmp(value.data(), slot.refresh.data(), value.size()) == 0;
      if (!own) {
        return refused("foreign-credential",
                       "its refresh_token is not this session's for credential \"" + slot.credential + "\"");
      }
      token = true;
    } else if (const auto words = login.send.find(name); words == login.send.end()) {
      return refused("body", "a field " + in_marks(name) + " is none that the policy lets a refresh send");
    } else if (!consists_of(value, words->second)) {
      return refused("body", "its field " + in_marks(name) + " is " + in_marks(value) + ", and may consist of " +
                                 escape_for_terminal(join(words->second, ", "), 200));
    }
  }
  if (!type || !token) return refused("grant-type", "it has no grant_type=refresh_token and refresh_token");
  return fields;
}

std::string refresh_body(const RefreshFields& fields, bool form, std::string_view real) {
  std::string out;
  // Growing would leave a part of the token behind.
  out.reserve(fields.size() * 64 + 3 * (max_value + real.size()) + 1024);
  for (const auto& [name, value] : fields) {
    const std::string_view sent = name == refresh_token ? real : std::string_view(value);
    if (form) {
      if (!out.empty()) out += '&';
      encode(out, name);
      out += '=';
      encode(out, sent);
      continue;
    }
    out += (out.empty() ? "{" : ",") + nlohmann::json(name).dump() + ":";
    std::string text = nlohmann::json(sent).dump();
    out += text;
    OPENSSL_cleanse(text.data(), text.size());
  }
  if (!form) out += '}';
  return out;
}

}  // namespace bulkhead::grant
