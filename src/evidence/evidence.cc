#include "evidence/evidence.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {

namespace {

// A caller with an event loop may have made the socket non-blocking. Evidence still waits: going on
// without it is what must not happen, and the wait is the back-pressure.
void wait_for(int socket, short events) {
  pollfd p{socket, events, 0};
  (void)::poll(&p, 1, -1);
}

Result<void> send_text(int socket, std::string_view text) {
  if (text.size() > max_event) {
    return fail("evidence: event of " + std::to_string(text.size()) + " bytes is too long", EMSGSIZE);
  }
  for (;;) {
    auto sent = ipc::send(socket, text);
    if (sent || sent.error().code != EAGAIN) return sent;
    wait_for(socket, POLLOUT);
  }
}

Result<void> send_event(int socket, std::string_view type, const nlohmann::json& fields, bool sync) {
  if (!fields.is_object() && !fields.is_null()) return fail("evidence: the fields of an event must be an object");
  for (const std::string_view key : reserved_keys) {
    if (fields.contains(key)) return fail("evidence: \"" + std::string(key) + "\" is a reserved key");
  }
  // Put before the fields as text: a copy of them only to add to it would cost more than all the rest.
  nlohmann::json head{{"type", type}};
  if (sync) head["sync"] = true;
  std::string text = head.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (!fields.empty()) {
    text.back() = ',';
    text += std::string_view(fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).substr(1);
  }
  return send_text(socket, text);
}

}  // namespace

Result<void> Recorder::record(std::string_view type, const nlohmann::json& fields) {
  return send_event(socket_.get(), type, fields, false);
}

Result<void> Recorder::record(const Event& event) {
  const std::string_view fields = event.fields();
  std::string text = "{\"type\":\"";
  text.reserve(text.size() + event.type().size() + fields.size() + 3);
  text.append(event.type()).append(fields.empty() ? "\"" : "\",").append(fields).append("}");
  return send_text(socket_.get(), text);
}

Result<void> Recorder::begin_sync(std::string_view type, const nlohmann::json& fields) {
  return send_event(socket_.get(), type, fields, true);
}

Result<void> Recorder::finish_sync() {
  std::array<char, 1024> buffer;  // answers are short; nothing else comes this way
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      wait_for(socket_.get(), POLLIN);
      continue;
    }
    if (n < 0) return fail_errno("recv", "evidence", errno);
    if (n == 0) return fail("evidence: the writer is gone", EPIPE);
    const nlohmann::json answer =
        nlohmann::json::parse(std::string_view(buffer.data(), static_cast<std::size_t>(n)), nullptr, false);
    if (!answer.is_object()) return fail("evidence: the writer's answer is not an object");
    if (answer.value("ok", nlohmann::json()) == true) return {};
    const nlohmann::json why = answer.value("error", nlohmann::json());
    return fail("evidence: " + (why.is_string() ? why.get<std::string>() : std::string("not recorded")));
  }
}

Result<void> Recorder::record_and_sync(std::string_view type, const nlohmann::json& fields) {
  BH_CHECK(begin_sync(type, fields));
  return finish_sync();
}

}  // namespace bulkhead::evidence
