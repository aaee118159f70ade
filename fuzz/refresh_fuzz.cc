// A refresh of an agent's login: what is allowed up is one form, with the session's own token in one place and the real
// one there afterwards, whatever it is read by; of the answer nothing that the server handed out reaches the workload.
// Input: a byte that says what follows (0 a request in JSON, 1 one in a form; 2 the answer to one, 3 to one of a login
// whose tokens are JWTs, 4 to one that was refused), then its body.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "expect.h"
#include "gateway/egress/login.h"
#include "gateway/egress/login_for_test.h"
#include "gateway/grant/refresh.h"

namespace {
using namespace bulkhead;
using nlohmann::json;

const std::string own = "bulkhead-refresh-1", real_refresh = "real/refresh+\"1";
const std::string real_access = "eyJhbGciOiJSUzI1NiJ9.eyJwbGFuIjoicHJvIn0.cmVhbC1hY2Nlc3M";

Login login(bool jwt) {
  Login out = egress::login_with("access", "refresh", jwt);
  out.send = {{"client_id", {"id-1"}}, {"scope", {"read", "user:*"}}};
  return out;
}

TokenSlot slot(bool jwt) {
  return egress::login_slot("bulkhead-1", own, jwt);
}

const Login plain_login = login(false), jwt_login = login(true);
const TokenSlot plain_slot = slot(false), jwt_slot = slot(true);

void one_line(const std::string& text) {
  expect(!text.empty() && text.size() < 1000 && escape_for_terminal(text, text.size() + 1) == text);
}

// As a server reads a form: whatever is not encoded stands for itself.
std::string form_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::strtoul(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::multimap<std::string, std::string> as_server(std::string_view body, bool form) {
  std::multimap<std::string, std::string> out;
  if (!form) {
    const json object = json::parse(body);
    for (const auto& [name, value] : object.items()) out.emplace(name, value.get<std::string>());
    return out;
  }
  for (const std::string& part : split(body, '&')) {
    const std::size_t equals = part.find('=');
    expect(equals != std::string::npos);
    out.emplace(form_text(std::string_view(part).substr(0, equals)),
                form_text(std::string_view(part).substr(equals + 1)));
  }
  return out;
}

void request(std::string_view body, bool form) {
  const auto fields = grant::judge_refresh(plain_login, plain_slot, form, body);
  if (!fields) {
    expect(fields.error().status == 403);
    return one_line(fields.error().text);
  }
  const auto sent = as_server(grant::refresh_body(*fields, form, real_refresh), form);
  expect(sent.size() == fields->size() && sent.count("grant_type") == 1 && sent.count("refresh_token") == 1);
  for (const auto& [name, value] : sent) {
    expect(sent.count(name) == 1);
    if (name == "grant_type") {
      expect(value == "refresh_token");
    } else if (name == "refresh_token") {
      expect(value == real_refresh);
    } else if (name == "client_id") {
      for (const std::string& word : split(value, ' ')) expect(word == "id-1");
    } else {
      expect(name == "scope");
      for (const std::string& word : split(value, ' ')) expect(word == "read" || word.starts_with("user:"));
    }
  }
  // Of what came nothing but the session's token is another, and what is made anew is as good as what came.
  const auto again = grant::judge_refresh(plain_login, plain_slot, form, grant::refresh_body(*fields, form, own));
  expect(again && *again == *fields);
}

// Strings that the server meant to be kept.
std::vector<std::string> handed_out(std::string_view body) {
  std::vector<std::string> out{real_access, real_refresh};
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return out;
  for (const char* name : {"access_token", "refresh_token", "id_token"}) {
    if (object.contains(name) && object.at(name).is_string()) out.push_back(object.at(name).get<std::string>());
  }
  return out;
}

void answer(std::string_view body, bool jwt, std::uint16_t status) {
  static boost::asio::io_context io;
  const TokenSlot& slot = jwt ? jwt_slot : plain_slot;
  auto pair = sys::socket_pair(SOCK_SEQPACKET);
  expect(pair.has_value());
  const UniqueFd file = std::move(pair->second);
  egress::IssuedValues issued(slot);
  egress::HeldLogin held(io, jwt ? jwt_login : plain_login, slot);
  LoginTokens first;
  first.access = Secret(real_access);
  first.refresh = Secret(real_refresh);
  expect(held.give(std::move(first), std::move(pair->first), issued).has_value());
  // Said before it is asked for: there is one thread here.
  expect(ipc::send(file.get(), json{{"type", "stored"}, {"written", true}, {"why", ""}}).has_value());
  egress::HeldLogin::Turn turn(held);
  auto answer = held.finish(turn, status, body, issued);
  if (!answer) {
    expect(answer.error().status == 502);
    return one_line(answer.error().text);
  }
  expect(answer->number.has_value() == (status == 200));
  const json made = json::parse(answer->body);
  expect(made.is_object() && made.contains("access_token") == (status == 200));
  for (const auto& [name, value] : made.items()) {
    expect(name == "access_token" || name == "refresh_token" || name == "id_token" || name == "expires_in" ||
           name == "refresh_token_expires_in" || name == "token_type" || name == "scope" || name == "error" ||
           name == "error_description");
    if (name == "access_token") {
      expect(value.get<std::string>().ends_with(plain_slot.token + "-" + std::to_string(*answer->number)));
    }
    if (name == "refresh_token") expect(value == own);
    if (name == "id_token") expect(value.get<std::string>().ends_with(".bulkhead"));
  }
  // As it goes to front.
  egress::Patterns patterns = issued.patterns();
  held.add_to(patterns);
  patterns.scrub(answer->body);
  const json told = json::parse(answer->body);
  if (status != 200) return;
  for (const std::string& real : handed_out(body)) {
    for (const auto& [name, value] : told.items()) {
      expect(!value.is_string() || value.get_ref<const std::string&>().find(real) == std::string::npos);
    }
  }
  // What the file is to hold.
  auto stored = ipc::receive(file.get());
  expect(stored && !stored->closed);
  auto object = ipc::parse(stored->text);
  expect(object && store_from(*object).has_value());
  expect(object->at("access") == json::parse(body).at("access_token"));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned kind = data[0] % 5;
  if (kind < 2) {
    request(body, kind == 1);
  } else {
    answer(body, kind == 3, kind == 4 ? 400 : 200);
  }
  return 0;
}
