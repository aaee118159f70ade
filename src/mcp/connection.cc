#include "mcp/connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mcp/call.h"

namespace bulkhead::mcp {
namespace {

using nlohmann::json;
using Clock = Connection::Clock;

int milliseconds_until(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 600'000));
}

// False: not in time.
bool wait_for(int fd, short what, Clock::time_point until) {
  for (;;) {
    pollfd p{fd, what, 0};
    const int ready = ::poll(&p, 1, milliseconds_until(until));
    if (ready > 0) return true;
    if (ready == 0 && Clock::now() >= until) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

std::string text_of(const json& message) {
  std::string text = line_of(message);
  text.pop_back();
  return text;
}

}  // namespace

// A body, which counts among all of them for as long as it is here.
class Connection::Held {
 public:
  explicit Held(Served& served) : served_(served) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { served_.bodies -= counted_; }

  // False: it would be too much.
  bool count() {
    if (bytes.size() > max_body) return false;
    const std::size_t more = bytes.size() - counted_;
    counted_ = bytes.size();
    return served_.bodies.fetch_add(more) + more <= served_.limits.bodies;
  }

  std::string bytes;

 private:
  Served& served_;
  std::size_t counted_ = 0;
};

// The answer to one request as a stream of events, once it is one.
class Connection::Events {
 public:
  explicit Events(Connection& connection) : connection_(connection) {}

  bool begun() const { return begun_; }
  bool broken() const { return broken_; }
  void begin() {
    if (std::exchange(begun_, true)) return;
    put(http::serialise_response(
        200, {{"content-type", "text/event-stream"}, {"cache-control", "no-store"}, {"x-accel-buffering", "no"}},
        lane::BodyKind::streamed, 0, true));
  }
  void say(const json& message) {
    begin();
    put(http::chunk("event: message\ndata: " + text_of(message) + "\n\n"));
  }
  // A line that says nothing, so that nobody between takes the client for dead, or the client us.
  void go_on() {
    if (Clock::now() - last_ < connection_.served_.limits.quiet) return;
    begin();
    put(http::chunk(": it goes on\n\n"));
  }
  void end() {
    begin();
    put(http::last_chunk());
  }

 private:
  void put(const std::string& bytes) {
    last_ = Clock::now();
    if (!broken_) broken_ = !connection_.write(bytes);
  }

  Connection& connection_;
  bool begun_ = false, broken_ = false;
  Clock::time_point last_ = Clock::now();
};

void Connection::run() {
  while (serve_one()) {
  }
  hang_up();
}

void Connection::hang_up() {
  (void)::shutdown(socket_.get(), SHUT_RDWR);
}

bool Connection::serve_one() {
  since_ = Clock::now().time_since_epoch().count();
  http::RequestReader reader(served_.limits.http);
  Clock::time_point until;
  if (!read_head(reader, until)) return false;
  const http::RequestHead& head = reader.head();
  if (const auto refusal = refuse_head(head)) {
    if (reader.state() != http::State::done || !head.keep_alive) return refuse(*refusal);
    return send(*refusal, true);
  }
  if (head.method == "DELETE") return answer_delete(head);
  Held body(served_);
  if (!read_body(reader, until, body)) return false;
  return answer_post(head, body.bytes);
}

bool Connection::read_head(http::RequestReader& reader, Clock::time_point& until) {
  if (waiting_.empty() && !fill(Clock::now() + served_.limits.idle)) return false;
  until = Clock::now() + served_.limits.request;
  std::string none;
  for (;;) {
    const auto taken = reader.feed(waiting_, none);
    if (!taken) return refuse(refused(taken.error().status, invalid_request, taken.error().text));
    waiting_.erase(0, *taken);
    if (reader.state() != http::State::head) return true;
    if (!fill(until)) return refuse(refused(408, invalid_request, "the request did not come in time"));
  }
}

bool Connection::read_body(http::RequestReader& reader, Clock::time_point until, Held& body) {
  if (reader.head().expect_continue && !write("HTTP/1.1 100 Continue\r\n\r\n")) return false;
  while (reader.state() != http::State::done) {
    if (waiting_.empty() && !fill(until)) {
      return refuse(refused(408, invalid_request, "the request did not come in time"));
    }
    const auto taken = reader.feed(waiting_, body.bytes);
    if (!taken) return refuse(refused(taken.error().status, invalid_request, taken.error().text));
    waiting_.erase(0, *taken);
    if (body.count()) continue;
    const bool long_one = body.bytes.size() > max_body;
    return refuse(refused(long_one ? 413 : 503, invalid_request,
                          long_one ? "a message is longer than 32 MiB" : "too much is being sent at once; try again"));
  }
  return true;
}

// There is no telling where what it sends ends, or no use in reading it: the connection ends.
bool Connection::refuse(const Reply& reply) {
  if (send(reply, false)) linger();
  return false;
}

bool Connection::answer_post(const http::RequestHead& head, std::string_view body) {
  const auto judged = judge_message(head, body);
  if (!judged) return send(judged.error(), head.keep_alive) && head.keep_alive;
  if (!*judged) return send({202}, head.keep_alive) && head.keep_alive;
  const Incoming& incoming = **judged;
  return incoming.stateless ? answer_alone(head, incoming) : answer_in_session(head, incoming);
}

bool Connection::answer_delete(const http::RequestHead& head) {
  Reply reply{204};
  const auto id = session_named(head);
  if (!id) {
    reply = id.error();
  } else if (!*id) {
    reply = refused(400, invalid_request, "Mcp-Session-Id has to say which session is to end");
  } else if (!served_.clients.end(**id)) {
    reply = refused(404, invalid_request, "there is no such session");
  }
  return send(reply, head.keep_alive) && head.keep_alive;
}

bool Connection::answer_in_session(const http::RequestHead& head, const Incoming& incoming) {
  if (incoming.method == "initialize" && !incoming.id.is_null()) {
    return answer(head, incoming, {{"mcp-session-id", served_.clients.begin()}});
  }
  const auto id = session_named(head);
  std::optional<Reply> no;
  if (!id) {
    no = id.error();
  } else if (!*id) {
    no = refused(400, invalid_request, "Mcp-Session-Id is missing; a session begins with initialize");
  } else if (!served_.clients.heard(**id)) {
    no = refused(404, invalid_request, "there is no such session; begin again with initialize");
  }
  if (no) return send(*no, head.keep_alive) && head.keep_alive;
  if (incoming.id.is_null()) {
    if (incoming.method == "notifications/cancelled") {
      served_.clients.cancel(**id, incoming.params.value("requestId", json()));
    }
    return send({202}, head.keep_alive) && head.keep_alive;
  }
  return incoming.method == "tools/call" ? call(head, incoming, **id) : answer(head, incoming);
}

bool Connection::answer_alone(const http::RequestHead& head, const Incoming& incoming) {
  if (incoming.id.is_null()) return send({202}, head.keep_alive) && head.keep_alive;
  return incoming.method == "tools/call" ? call(head, incoming, "") : answer(head, incoming);
}

bool Connection::answer(const http::RequestHead& head, const Incoming& incoming, lane::Headers more) {
  json said = answer_at_once(incoming);
  if (said.is_null()) said = error_of(incoming.id, method_not_found, "there is no method " + incoming.method);
  return send({status_of(incoming, said), said, std::move(more)}, head.keep_alive) && head.keep_alive;
}

bool Connection::call(const http::RequestHead& head, const Incoming& incoming, const std::string& client) {
  Wanted wanted;
  // Who was in a session may come back and have another connection; nobody hears the answer then, and it is done all
  // the same. Since 2026-07-28 who hangs up has changed its mind.
  if (incoming.stateless) wanted.connection = socket_.get();
  const auto place = served_.clients.call(client, incoming.id, wanted);
  if (!place)
    return send({200, error_of(incoming.id, invalid_request, too_many_calls)}, head.keep_alive) && head.keep_alive;
  calling_ = true;
  Events events(*this);
  const auto heard = [&] {
    if (events.broken() && incoming.stateless) wanted.cancelled = true;
  };
  WhileItRuns meanwhile;
  meanwhile.tell = [&](const json& message) {
    events.say(message);
    heard();
  };
  meanwhile.passing = [&] {
    events.go_on();
    heard();
  };
  if (wants_progress(incoming)) events.begin();
  const json said = answer_call(served_.session, incoming, wanted, meanwhile);
  calling_ = false;
  since_ = Clock::now().time_since_epoch().count();
  if (!events.begun() && !said.is_null()) return send({200, said}, head.keep_alive) && head.keep_alive;
  if (!said.is_null()) events.say(said);
  events.end();  // of one that was cancelled nothing is said
  return !events.broken() && head.keep_alive;
}

bool Connection::send(const Reply& reply, bool keep) {
  const std::string body = reply.body.is_null() ? "" : text_of(reply.body);
  lane::Headers headers = reply.headers;
  if (!body.empty()) headers.emplace_back("content-type", "application/json");
  headers.emplace_back("cache-control", "no-store");
  const auto kind = body.empty() ? lane::BodyKind::none : lane::BodyKind::length;
  return write(http::serialise_response(reply.status, headers, kind, body.size(), keep) + body);
}

// False: its end, or not in time.
bool Connection::fill(Clock::time_point until) {
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) waiting_.append(buffer.data(), static_cast<std::size_t>(n));
    if (n > 0) return true;
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) return false;
    if (errno == EAGAIN && !wait_for(socket_.get(), POLLIN, until)) return false;
  }
}

bool Connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      if (!wait_for(socket_.get(), POLLOUT, Clock::now() + served_.limits.write)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

// A close with unread bytes would be an error where the client has not read its answer yet.
void Connection::linger() {
  (void)::shutdown(socket_.get(), SHUT_WR);
  const Clock::time_point until = Clock::now() + served_.limits.linger;
  waiting_.clear();
  while (Clock::now() < until && fill(until)) waiting_.clear();
}

}  // namespace bulkhead::mcp
