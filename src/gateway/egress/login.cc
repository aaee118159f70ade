#include "gateway/egress/login.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/text.h"
#include "gateway/grant/json_body.h"

namespace bulkhead::egress {
namespace asio = boost::asio;
namespace {

using nlohmann::json;

constexpr std::size_t max_earlier = 16;
constexpr int store_timeout = 10'000;  // ms; a slow disk
constexpr std::uint64_t longest_life = std::uint64_t{366} * 24 * 3600;

lane::Failure not_understood(std::string why) {
  return {502, "login", "the login server's answer was kept back: " + std::move(why)};
}

// RFC 6749 §5.2's words, which are all that passes of a refusal. Others say it as { "type": … } or not at all.
std::string error_word(std::string_view body, std::uint16_t status) {
  std::string other = status >= 500 || status == 429 ? "temporarily_unavailable" : "invalid_request";
  if (!grant::judge_json({}, body)) return other;
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object() || !object.contains("error")) return other;
  const json& error = object.at("error");
  const json& word = error.is_object() && error.contains("type") ? error.at("type") : error;
  if (!word.is_string()) return other;
  for (const char* known :
       {"invalid_grant", "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client",
        "unsupported_grant_type", "refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"}) {
    if (word.get_ref<const std::string&>() == known) return known;
  }
  return other;
}

}  // namespace

HeldLogin::HeldLogin(asio::io_context& io, Login login, TokenSlot slot)
    : login_(std::move(login)), slot_(std::move(slot)), socket_(io), free_(io) {
  free_.expires_at(asio::steady_timer::time_point::max());
}

Result<void> HeldLogin::give(LoginTokens tokens, UniqueFd socket, IssuedValues& issued) {
  BH_TRY(const std::uint32_t number, issued.keep(tokens.access.reveal()));
  if (number != 1) return fail("the login came twice");
  tokens_ = std::move(tokens);
  boost::system::error_code ec;
  socket_.assign(socket.get(), ec);
  if (ec) return fail("the login's socket: " + ec.message(), ec.value());
  (void)socket.release();
  return {};
}

void HeldLogin::forget() {
  forgotten_ = true;
  tokens_ = LoginTokens();
  earlier_.clear();
}

void HeldLogin::add_to(Patterns& patterns) const {
  TokenSlot plain = slot_;
  plain.carrier = Credential::Carrier::bearer;
  patterns.add(tokens_.refresh, plain);
  patterns.add(tokens_.id, plain);
  for (const Secret& one : earlier_) patterns.add(one, plain);
}

void HeldLogin::keep_from_workload(Secret token) {
  earlier_.push_back(std::move(token));
  if (earlier_.size() > max_earlier) earlier_.pop_front();
}

void HeldLogin::take_over(LoginTokens tokens) {
  const auto replace = [this](Secret& old, Secret& now) {
    if (now.empty() || now.reveal() == old.reveal()) return;
    if (!old.empty()) keep_from_workload(std::move(old));
    old = std::move(now);
  };
  tokens_.access = std::move(tokens.access);
  replace(tokens_.refresh, tokens.refresh);
  replace(tokens_.id, tokens.id);
}

asio::awaitable<tl::expected<std::unique_ptr<HeldLogin::Turn>, lane::Failure>> HeldLogin::begin(IssuedValues& issued) {
  const auto refused = [](std::uint16_t status, const char* reason, const char* text) {
    return tl::unexpected(lane::Failure{status, reason, text});
  };
  boost::system::error_code ec;
  while (taken_) co_await free_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  taken_ = true;
  auto turn = std::make_unique<Turn>(*this);
  if (forgotten_) co_return refused(403, "revoked", "this login was revoked");
  if (!ipc::send(socket_.native_handle(), json{{"type", "begin"}})) co_return refused(503, "login", "its file is gone");
  ec.clear();
  co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, asio::redirect_error(asio::use_awaitable, ec));
  auto message = ipc::receive(socket_.native_handle());
  if (ec || !message || message->closed) co_return refused(503, "login", "the login's file is gone");
  auto object = ipc::parse(message->text);
  wipe(message->text);
  const std::string type = object ? object->value("type", "") : "";
  if (type == "busy") {
    co_return refused(503, "login", "another session is refreshing this login, and takes long; ask again");
  }
  if (type == "tokens") {
    auto tokens = tokens_from(*object);
    if (!tokens || !issued.keep(tokens->access.reveal())) {
      co_return refused(502, "login", "the login's file holds what is no token by now; log in again on the host");
    }
    if (!forgotten_) take_over(std::move(*tokens));
  } else if (type != "begun") {
    co_return refused(503, "login", "the login's file can't be reached");
  }
  if (forgotten_) co_return refused(403, "revoked", "this login was revoked");
  co_return turn;
}

void HeldLogin::end_turn(bool stored) {
  if (!stored && socket_.is_open()) (void)ipc::send(socket_.native_handle(), json{{"type", "end"}});
  taken_ = false;
  free_.cancel();
}

std::string HeldLogin::body(const grant::RefreshFields& fields, bool form) const {
  return grant::refresh_body(fields, form, tokens_.refresh.reveal());
}

tl::expected<HeldLogin::Fresh, lane::Failure> HeldLogin::understand(std::string_view body,
                                                                    const IssuedValues& issued) const {
  if (const auto judged = grant::judge_json({}, body); !judged) {
    return tl::unexpected(not_understood(judged.error().text));
  }
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return tl::unexpected(not_understood("it is no JSON object"));
  Fresh out;
  for (const auto& [key, into] : {std::pair{"access_token", &out.tokens.access},
                                  {"refresh_token", &out.tokens.refresh},
                                  {"id_token", &out.tokens.id}}) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) continue;
    if (!found->is_string()) return tl::unexpected(not_understood(std::string(key) + " is no text"));
    const auto& value = found->get_ref<const std::string&>();
    if (const auto why = issued.unfit(value)) return tl::unexpected(not_understood(std::string(key) + ": " + *why));
    if (value.find(slot_.refresh) != std::string::npos) {
      return tl::unexpected(not_understood(std::string(key) + " is this session's own token"));
    }
    *into = Secret(value);
  }
  if (out.tokens.access.empty()) return tl::unexpected(not_understood("it has no access_token"));
  if (const auto found = object.find("expires_in"); found != object.end() && found->is_number_unsigned()) {
    out.expires_in = std::min(found->get<std::uint64_t>(), longest_life);
  }
  // A closed list: what it says beside may be anything, a token too.
  json passed = json::object();
  for (const char* key : {"expires_in", "refresh_token_expires_in"}) {
    const auto found = object.find(key);
    if (found != object.end() && found->is_number_unsigned()) {
      passed[key] = std::min(found->get<std::uint64_t>(), longest_life);
    }
  }
  for (const char* key : {"token_type", "scope"}) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) continue;
    const auto& value = found->get_ref<const std::string&>();
    const bool fit = value.size() <= 4096 && std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (fit) passed[key] = value;
  }
  out.passed = passed.dump();
  return out;
}

// Waits for the disk: nothing may pass before it is known, and little else goes on here meanwhile.
Result<bool> HeldLogin::store(const StoreRequest& request, std::string& why) {
  BH_CHECK(send_store(socket_.native_handle(), request));
  pollfd p{socket_.native_handle(), POLLIN, 0};
  if (::poll(&p, 1, store_timeout) <= 0) return fail("the disk took too long");
  BH_TRY(const ipc::Message message, ipc::receive(socket_.native_handle()));
  if (message.closed) return fail("whoever writes it is gone");
  BH_TRY(const json object, ipc::parse(message.text));
  if (object.value("type", "") != "stored") return fail("whoever writes it makes no sense");
  why = object.value("why", "");
  return object.value("written", false);
}

tl::expected<HeldLogin::Answer, lane::Failure> HeldLogin::finish(Turn& turn, std::uint16_t status,
                                                                 std::string_view body, IssuedValues& issued) {
  Answer answer;
  if (status >= 400) {
    answer.body = json{{"error", error_word(body, status)},
                       {"error_description", "the login server refused the refresh (status " + std::to_string(status) +
                                                 "); Bulkhead kept the rest of its answer back"}}
                      .dump();
    return answer;
  }
  if (status != 200) return tl::unexpected(not_understood("it has status " + std::to_string(status)));
  auto fresh = understand(body, issued);
  if (!fresh) return tl::unexpected(std::move(fresh).error());
  json out = json::parse(fresh->passed);
  auto number = issued.keep(fresh->tokens.access.reveal());
  auto access = number ? session_access(slot_, login_, *number, fresh->tokens.access.reveal())
                       : Result<std::string>(tl::unexpected(number.error()));
  if (!access) return tl::unexpected(not_understood(access.error().message));
  out["access_token"] = *access;
  answer.rotated = !fresh->tokens.refresh.empty() && fresh->tokens.refresh.reveal() != tokens_.refresh.reveal();
  if (!fresh->tokens.refresh.empty()) out["refresh_token"] = slot_.refresh;
  if (login_.id.empty() && !fresh->tokens.id.empty()) {
    keep_from_workload(std::move(fresh->tokens.id));  // no file has it, and all the same it is the server's alone
    fresh->tokens.id = Secret();
  }
  if (!fresh->tokens.id.empty()) {
    auto id = session_id_token(login_, fresh->tokens.id.reveal());
    if (!id) return tl::unexpected(not_understood(id.error().message));
    out["id_token"] = *id;
  }
  answer.body = out.dump();
  answer.number = *number;
  StoreRequest request{std::move(fresh->tokens), fresh->expires_in};
  const auto written = store(request, answer.why);
  turn.stored_ = true;
  answer.written = written && *written;
  if (!written) answer.why = written.error().message;
  if (!forgotten_) take_over(std::move(request.tokens));
  return answer;
}

}  // namespace bulkhead::egress
