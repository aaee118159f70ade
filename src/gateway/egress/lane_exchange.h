// What one exchange of a lane knows; shared by the parts of LaneSession (lane_session.cc, lane_upload.cc,
// lane_answer.cc, lane_login.cc, lane_h2.cc).
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/egress/answer.h"
#include "gateway/egress/h2_connection.h"
#include "gateway/egress/lane_session.h"
#include "gateway/egress/redirect.h"
#include "gateway/egress/websocket.h"
#include "gateway/websocket/handshake.h"
#include "policy/policy.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

// What a request goes up on: a connection of its own (HTTP/1), or a stream of one.
struct Carrier {
  std::shared_ptr<Connection> connection;
  std::shared_ptr<H2Stream> stream;

  asio::awaitable<bool> write(std::string_view bytes) const {
    if (stream) co_return co_await stream->write(bytes);
    co_return (co_await connection->write(bytes)).has_value();
  }
  void stop_writing() const {
    if (stream) stream->stop_writing();
    if (connection) connection->stop_writing();
  }
  void abort() const {
    if (stream) stream->abandon();
    if (connection) connection->abort();
  }
};

// A body that is kept until it is judged.
struct LaneSession::Held {
  explicit Held(Context& c) : context(c) {}
  ~Held() { context.held -= bytes.size(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  void add(std::string_view part) {
    bytes += part;
    context.held += part.size();
  }
  Context& context;
  std::string bytes;
};

// A request that came signed, and will go signed anew.
struct LaneSession::Signature {
  Incoming incoming;
  std::optional<std::string> payload;  // unset until the body is held
  std::optional<BodyHash> body;        // while it streams
};

struct LaneSession::Exchange {
  Exchange(asio::io_context& io, lane::Request r) : request(std::move(r)), upload_ended(io) {
    target = {.host = request.host,
              .port = request.port,
              .tls = !is_plain(request.scheme),
              .only_http1 = is_websocket(request.scheme)};
    upload_ended.expires_at(asio::steady_timer::time_point::max());
  }
  ~Exchange() {
    if (carrier.stream) carrier.stream->abandon();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  lane::Request request;
  Target target;
  Permits::Permit permit;
  Carrier carrier;
  std::shared_ptr<H2Connection> h2;  // what carrier.stream is on
  std::string address;               // of the server, for evidence
  std::string proxy;                 // that it goes through, likewise
  std::string tls;
  bool reused = false;
  lane::Failure failure;

  bool sent = false;       // the whole request is with the upstream
  bool abandoned = false;  // what is left of it is read from front and thrown away
  bool gone = false;       // front has closed the lane, or broke the protocol
  bool answered = false;   // the last of the answer is on its way to front
  bool uploading = false;  // upload() runs
  bool upload_begun = false;
  bool told = false;                      // front has begun to get an answer
  std::optional<Redirect> redirect;       // what came instead of an answer, to be followed
  bool followed = false;                  // one was: another is the workload's
  std::optional<lane::Failure> refused;   // why the rest of the request is not sent
  std::optional<Held> held;               // what was read of the body before anything went up, when the rule judges it
  bool whole = false;                     // held is all of it
  std::unique_ptr<HeldLogin::Turn> turn;  // when it refreshes the login: nobody else does meanwhile
  std::optional<Signature> signature;     // where the credential is carried in one
  std::optional<AnswerRules> rules;       // of the answer
  std::optional<Held> held_answer;        // the whole of it so far, when the grant wants it whole
  std::string key;                        // of a WebSocket's opening handshake, ours
  std::shared_ptr<WebSocket> websocket;   // once the server has agreed to one
  asio::steady_timer upload_ended;        // cancelled when upload() ends

  std::uint16_t status = 0;
  std::uint64_t up = 0, down = 0;
};

inline lane::Failure too_much_held() {
  return {503, "memory", "too many bodies wait to be judged; ask again"};
}

// RFC 9110 §9.2.2: asking again does no harm.
inline bool repeatable(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

}  // namespace bulkhead::egress
