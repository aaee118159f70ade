#include "gateway/egress/lane_session.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/text.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/response.h"
#include "gateway/grant/json_body.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

namespace {

// RFC 9110 §9.2.2: asking again does no harm.
bool repeatable(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

// With a credential in play the answer must come whole and readable, or the scrubber could be led past it.
bool asks_for_less_than_all(std::string_view name) {
  return name == "accept-encoding" || name == "range" || name == "if-range";
}

lane::Failure upstream_error(const Connection& connection, const std::string& message) {
  if (connection.timed_out()) return {504, "timeout", "the server was silent for too long"};
  return {502, "upstream", "the connection to the server broke: " + message};
}

lane::Failure too_much_held() {
  return {503, "memory", "too many bodies wait to be judged; ask again"};
}

// Frames of at most lane::max_body bytes.
void append_body(std::string& out, std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), lane::max_body))) {
    std::string frame = lane::encode_body(bytes.substr(0, lane::max_body));
    if (out.empty()) {
      out = std::move(frame);
    } else {
      out += frame;
    }
  }
}

}  // namespace

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

struct LaneSession::Exchange {
  Exchange(asio::io_context& io, lane::Request r) : request(std::move(r)), upload_ended(io) {
    target = {request.host, request.port, request.scheme == "https"};
    upload_ended.expires_at(asio::steady_timer::time_point::max());
  }
  lane::Request request;
  Target target;
  Permits::Permit permit;
  std::shared_ptr<Connection> connection;
  lane::Failure failure;

  bool sent = false;       // the whole request is with the upstream
  bool abandoned = false;  // what is left of it is read from front and thrown away
  bool gone = false;       // front has closed the lane, or broke the protocol
  bool answered = false;   // the last of the answer is on its way to front
  bool uploading = false;  // upload() runs
  bool upload_begun = false;
  bool told = false;                     // front has begun to get an answer
  std::optional<lane::Failure> refused;  // why the rest of the request is not sent
  std::optional<Held> held;              // the whole body, when the rule judges it
  asio::steady_timer upload_ended;       // cancelled when upload() ends

  std::uint16_t status = 0;
  std::uint64_t up = 0, down = 0;
};

LaneSession::LaneSession(std::shared_ptr<Context> context, Frames::Socket socket)
    : owner_(std::move(context)), context_(*owner_), socket_(std::move(socket)), frames_(socket_) {
  ++context_.lanes;
}

LaneSession::~LaneSession() {
  --context_.lanes;
}

asio::awaitable<void> LaneSession::run() {
  const auto self = shared_from_this();
  while (!context_.stopped) {
    const auto frame = co_await frames_.next();
    if (!frame || frame->kind != lane::Kind::request) break;
    auto request = lane::decode_request(frame->payload);
    if (!request) break;
    if (!co_await exchange(std::move(*request))) break;
    frames_.shrink();
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<bool> LaneSession::send(std::string_view bytes) {
  boost::system::error_code ec;
  co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                             asio::redirect_error(asio::use_awaitable, ec));
  co_return !ec;
}

// Reads the request's body to its end for the sake of the next exchange. False: the lane broke the protocol. Only
// once front has its answer may the next request follow at once.
asio::awaitable<bool> LaneSession::drain(const lane::Request& request, bool answered) {
  for (;;) {
    const auto frame = co_await frames_.next();
    if (!frame) co_return false;
    if (frame->kind == lane::Kind::end) co_return answered || frames_.empty();
    if (frame->kind != lane::Kind::body || request.body == lane::BodyKind::none) co_return false;
  }
}

asio::awaitable<bool> LaneSession::fail_with(const lane::Request& request, const lane::Failure& failure) {
  if (!context_.record("upstream.failure", {{"grant", request.grant},
                                            {"host", request.host},
                                            {"port", request.port},
                                            {"reason", failure.reason},
                                            {"text", failure.text}})) {
    co_return false;
  }
  const std::string frame = lane::encode(failure);
  co_return co_await send(frame);
}

void LaneSession::record_failure(const Exchange& x, const std::string& reason, const std::string& text) {
  (void)context_.record(
      "upstream.failure",
      {{"grant", x.permit.id}, {"host", x.request.host}, {"port", x.request.port}, {"reason", reason}, {"text", text}});
}

// Looks for the end of the lane while nothing is to be read from it. Front says nothing more before it has the whole
// answer, so anything readable is either that end or a violation.
void LaneSession::watch_for_hangup() {
  socket_.async_wait(Frames::Socket::wait_read,
                     [self = shared_from_this(), number = number_](boost::system::error_code ec) {
                       if (ec || number != self->number_ || !self->current_ || self->current_->answered) return;
                       char byte = 0;
                       const ssize_t n = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
                       if (n < 0 && errno == EAGAIN) return self->watch_for_hangup();
                       self->hung_up();
                     });
}

void LaneSession::hung_up() {
  current_->gone = true;
  if (current_->connection) current_->connection->abort();
}

LaneSession::Outcome LaneSession::unfinished(const Exchange& x) {
  return x.told ? Outcome::broken : Outcome::failed;
}

LaneSession::Outcome LaneSession::fail(Exchange& x, lane::Failure failure) {
  x.failure = std::move(failure);
  return Outcome::failed;
}

asio::awaitable<bool> LaneSession::exchange(lane::Request request) {
  auto permit = context_.permits.judge(request);
  if (!permit) {
    if (!co_await fail_with(request, permit.error())) co_return false;
    co_return co_await drain(request, true);
  }
  ++number_;
  current_ = std::make_unique<Exchange>(context_.io, std::move(request));
  Exchange& x = *current_;
  x.permit = std::move(*permit);
  if (x.request.body == lane::BodyKind::none) {
    if (!co_await drain(x.request, false)) co_return false;
    watch_for_hangup();
  } else if (x.permit.rule->json) {
    if (!co_await hold(x)) co_return false;
    if (x.refused) {
      const bool ended = x.sent;
      const bool keep = co_await fail_with(x.request, *x.refused) && (ended || co_await drain(x.request, true));
      current_.reset();
      co_return keep;
    }
    x.sent = false;
    watch_for_hangup();
  }

  // The session may end before it does.
  std::optional<UnderWay::Entry> entry;
  entry.emplace(context_.under_way, [this, &x] {
    if (!x.answered) record_failure(x, "ended", "the session ended before the answer was whole");
  });
  Outcome outcome = co_await attempt(x, false);
  if (outcome == Outcome::retry) outcome = co_await attempt(x, true);
  entry.reset();
  if (context_.stopped) co_return false;

  x.answered = true;
  if (!x.uploading) {
    boost::system::error_code ignored;
    socket_.cancel(ignored);  // the watch
  }
  if (outcome == Outcome::failed && !x.gone) {
    if (!co_await fail_with(x.request, x.failure)) co_return false;
    const bool unread = x.request.body != lane::BodyKind::none && !x.upload_begun && !x.held;
    if (unread && !co_await drain(x.request, true)) co_return false;
  } else if (outcome != Outcome::done) {
    // Half an answer, or nobody to give it to.
    record_failure(x,
                   x.gone                     ? "client-gone"
                   : x.failure.reason.empty() ? "truncated"
                                              : x.failure.reason,
                   x.failure.text);
    if (x.connection) x.connection->abort();
    boost::system::error_code ignored;
    socket_.close(ignored);  // also ends upload()
  }
  while (x.uploading) {
    boost::system::error_code ignored;
    co_await x.upload_ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const bool keep = (outcome == Outcome::done || outcome == Outcome::failed) && !x.gone;
  current_.reset();
  co_return keep;
}

std::string LaneSession::request_head(const Exchange& x) const {
  lane::Headers headers;
  headers.reserve(x.request.headers.size() + 2);
  const bool secret = !context_.patterns.empty();
  for (const auto& header : x.request.headers) {
    if (secret && asks_for_less_than_all(header.first)) continue;
    if (context_.header && header.first == context_.header->name) continue;  // the slot is ours alone
    headers.push_back(header);
  }
  if (secret) headers.emplace_back("accept-encoding", "identity");
  if (x.permit.use_credential) headers.emplace_back(context_.header->name, context_.header->value.reveal());
  std::string head = http::serialise_request(x.request.method, x.target.host_header(), x.request.target, headers,
                                             x.request.body, x.request.body_length);
  if (x.permit.use_credential) wipe(headers.back().second);
  return head;
}

asio::awaitable<LaneSession::Outcome> LaneSession::attempt(Exchange& x, bool fresh) {
  x.connection = fresh ? nullptr : context_.pool.take(x.target.key());
  if (!x.connection) {
    auto dialled = co_await context_.dialer.dial(x.target);
    if (!dialled) co_return fail(x, std::move(dialled).error());
    x.connection = std::move(*dialled);
  }
  if (x.gone || context_.stopped) co_return Outcome::broken;
  const bool may_retry = x.connection->reused && x.request.body == lane::BodyKind::none && repeatable(x.request.method);
  // Said before it happens: a use that can't be recorded does not happen.
  if (x.permit.use_credential && !context_.record("credential.use", {{"credential", context_.credential},
                                                                     {"host", x.request.host},
                                                                     {"port", x.request.port},
                                                                     {"grant", x.permit.id}})) {
    co_return Outcome::broken;
  }
  std::string head = request_head(x);
  if (x.request.body != lane::BodyKind::none) {
    x.uploading = x.upload_begun = true;
    asio::co_spawn(context_.io, x.held ? upload_held(std::move(head)) : upload(std::move(head)), rethrow);
  } else {
    const auto written = co_await x.connection->write(head);
    wipe(head);
    if (!written) {
      if (x.gone) co_return Outcome::broken;
      if (may_retry) co_return Outcome::retry;
      co_return fail(x, upstream_error(*x.connection, written.error().message));
    }
    x.sent = true;
  }
  const Outcome outcome = co_await download(x, may_retry);
  if (x.uploading && !x.sent &&
      x.connection) {  // answered, or failed, before the request was up: the rest of it is of no use
    x.abandoned = true;
    x.connection->stop_writing();
  }
  co_return outcome;
}

// Counts body bytes that came. False: x.refused says why they are too many.
bool LaneSession::fits(Exchange& x, std::size_t bytes) {
  const auto& most = x.permit.rule->max_body;
  if (most && x.up > *most) {
    x.refused = {413, "body", "the body is larger than the " + std::to_string(*most) + " bytes the rule allows"};
  } else if (!context_.permits.count_up(x.permit, bytes)) {
    x.refused = {429, "budget", "the grant's budget for bytes_up is used up"};
  }
  return !x.refused;
}

// Reads the whole body and judges it. False: the lane broke the protocol. Otherwise x.refused says why it may not go
// up, x.sent whether its end was read.
asio::awaitable<bool> LaneSession::hold(Exchange& x) {
  x.held.emplace(context_);
  const bool announced = x.request.body == lane::BodyKind::length;
  if (context_.held + (announced ? x.request.body_length : 0) > max_held) {
    x.refused = too_much_held();
    co_return true;
  }
  if (announced) x.held->bytes.reserve(x.request.body_length);
  for (;;) {
    const auto frame = co_await frames_.next();
    if (!frame) co_return false;
    if (frame->kind == lane::Kind::end) break;
    if (frame->kind != lane::Kind::body) co_return false;
    x.up += frame->payload.size();
    if (announced && x.up > x.request.body_length) co_return false;
    if (!fits(x, frame->payload.size())) co_return true;
    if (context_.held + frame->payload.size() > max_held) {
      x.refused = too_much_held();
      co_return true;
    }
    x.held->add(frame->payload);
  }
  x.sent = true;
  if (announced && x.up != x.request.body_length) co_return false;
  if (const auto judged = grant::judge_json(*x.permit.rule->json, x.held->bytes); !judged) {
    x.refused = {403, "json", judged.error().text};
  }
  x.request.body = lane::BodyKind::length;
  x.request.body_length = x.up;
  co_return true;
}

// Runs beside download(), as upload() does.
asio::awaitable<void> LaneSession::upload_held(std::string head) {
  const auto self = shared_from_this();
  Exchange& x = *current_;
  const std::shared_ptr<Connection> connection = x.connection;
  std::string_view rest = x.held->bytes;
  // A short request is one write.
  std::string out;
  out.reserve(head.size() + transfer);
  out = head;
  wipe(head);
  out += rest.substr(0, transfer);
  rest.remove_prefix(std::min(rest.size(), transfer));
  auto written = co_await connection->write(out);
  wipe(out);
  while (written && !rest.empty() && !x.abandoned) {
    written = co_await connection->write(rest.substr(0, transfer));
    rest.remove_prefix(std::min(rest.size(), transfer));
  }
  if (written && rest.empty()) {
    x.sent = true;
  } else {
    x.abandoned = true;
  }
  x.uploading = false;
  x.upload_ended.cancel();
}

// Runs beside download(). Ends when front has sent the last of the request, or has gone.
asio::awaitable<void> LaneSession::upload(std::string head) {
  const auto self = shared_from_this();
  Exchange& x = *current_;  // exchange() waits for us before it lets go of it
  const std::shared_ptr<Connection> connection = x.connection;
  std::string out;
  out.reserve(head.size() + transfer + lane::max_body + 64);  // or growing would leave the credential behind
  out = head;
  wipe(head);
  bool ended = false, broken = false, head_in_it = true;
  while (!ended && !broken) {
    const auto frame = co_await frames_.next();
    if (!frame || (frame->kind != lane::Kind::end && frame->kind != lane::Kind::body)) {
      broken = true;
    } else if (frame->kind == lane::Kind::end) {
      ended = true;
      // Fewer bytes than announced can't be made up for.
      broken = (!x.answered && !frames_.empty()) ||
               (x.request.body == lane::BodyKind::length && x.up != x.request.body_length);
      if (!broken && x.request.body == lane::BodyKind::streamed) out += http::last_chunk();
    } else {
      x.up += frame->payload.size();
      broken = x.request.body == lane::BodyKind::length && x.up > x.request.body_length;
      if (!broken && !x.abandoned && !fits(x, frame->payload.size())) {
        x.abandoned = true;
        connection->abort();
      }
      if (x.request.body == lane::BodyKind::length) {
        out += frame->payload;
      } else if (!frame->payload.empty()) {
        out += http::chunk(frame->payload);
      }
    }
    if (broken) break;
    if (x.abandoned) {
      if (head_in_it) wipe(out);
      head_in_it = false;
      out.clear();
      continue;
    }
    // What front sent in one go also goes up in one go.
    if (!ended && frames_.ready() && out.size() < transfer) continue;
    const auto written = co_await connection->write(out);
    if (head_in_it) wipe(out);
    head_in_it = false;
    out.clear();
    // Not the end yet: the upstream may have said why it stopped reading. download() finds out.
    if (!written) x.abandoned = true;
    if (!x.abandoned && x.request.body == lane::BodyKind::length && x.up == x.request.body_length) x.sent = true;
  }
  if (head_in_it) wipe(out);
  if (broken) {
    hung_up();
  } else if (!x.abandoned) {
    x.sent = true;
  }
  if (!broken && !x.answered) watch_for_hangup();
  x.uploading = false;
  x.upload_ended.cancel();
}

// The head of the answer, for front. False: x.failure says why not.
bool LaneSession::begin_response(Exchange& x, const http::ResponseHead& head, std::string& out) {
  x.status = head.status;
  if (!context_.patterns.empty() && head.body != lane::BodyKind::none && encoded(head.headers)) {
    x.failure = {502, "encoding",
                 "the server encoded its answer, though asked not to: a credential in it would go unseen"};
    return false;
  }
  if (!x.sent && head.status >= 400) {
    // Refused before it was up. What is left of the request is not sent, and the connection is not used again: whether
    // the upstream takes the rest for a new request is not ours to find out. Any other early answer may be one that
    // goes on as the request does.
    x.abandoned = true;
    x.connection->stop_writing();
  }
  out += lane::encode(lane::Response{.status = head.status,
                                     .headers = downstream_headers(head.headers, context_.patterns),
                                     .body = head.body,
                                     .body_length = head.body_length});
  return true;
}

asio::awaitable<LaneSession::Outcome> LaneSession::download(Exchange& x, bool may_retry) {
  http::ResponseReader reader(x.request.method);
  Scrubber scrubber(context_.patterns);
  const std::shared_ptr<Connection> held = x.connection;
  Connection& connection = *held;
  std::string body, clean, out;
  bool begun = false, any = false;
  while (reader.state() != http::State::done) {
    // Shared by all lanes: what is read is used before anybody else gets to run.
    const auto got = co_await connection.read_some(context_.scratch);
    if (context_.stopped || x.gone) co_return Outcome::broken;
    if (x.refused) {
      x.failure = *x.refused;
      co_return unfinished(x);
    }
    bool leftover = false;
    if (got && *got > 0) {
      any = true;
      std::string_view bytes(context_.scratch.data(), *got);
      while (!bytes.empty() && reader.state() != http::State::done) {
        const auto taken = reader.feed(bytes, body);
        if (!taken) {
          x.failure = {502, "protocol", "the server's answer was refused: " + taken.error().text};
          co_return unfinished(x);
        }
        if (*taken == 0) break;  // the reader can't place it: not a connection to use again
        bytes.remove_prefix(*taken);
        if (!begun && reader.state() != http::State::head) {
          if (!begin_response(x, reader.head(), out)) co_return Outcome::failed;
          begun = true;
        }
      }
      leftover = !bytes.empty();
    } else if (got && any) {
      if (const auto ended = reader.finish(); !ended) {
        x.failure = {502, "protocol", ended.error().text};
        co_return unfinished(x);
      }
      if (reader.state() != http::State::done) {
        x.failure = upstream_error(connection, "it was closed without an answer");
        co_return unfinished(x);
      }
    } else {
      if (may_retry && !any && !connection.timed_out()) co_return Outcome::retry;
      x.failure = upstream_error(connection, got ? "it was closed without an answer" : got.error().message);
      co_return unfinished(x);
    }

    if (!body.empty()) {
      x.down += body.size();
      if (!context_.permits.count_down(x.permit, body.size())) {
        x.failure = {429, "budget", "the grant's budget for bytes_down is used up"};
        co_return unfinished(x);
      }
      if (context_.patterns.empty()) {
        append_body(out, body);
      } else {
        scrubber.feed(body, clean);
        append_body(out, clean);
        clean.clear();
      }
      body.clear();
    }
    if (reader.state() == http::State::done) {
      scrubber.finish(clean);
      append_body(out, clean);
      out += lane::encode_end();
      // From here on front may begin the next exchange: what then comes on the lane is no hang-up.
      x.answered = true;
      const http::ResponseHead& head = reader.head();
      const bool recorded = context_.record("upstream.request", {{"grant", x.permit.id},
                                                                 {"host", x.request.host},
                                                                 {"port", x.request.port},
                                                                 {"address", connection.address},
                                                                 {"status", x.status},
                                                                 {"tls", connection.tls_version()},
                                                                 {"reused", connection.reused},
                                                                 {"bytes_up", x.up},
                                                                 {"bytes_down", x.down}});
      if (!recorded) co_return Outcome::broken;
      if (head.keep_alive && !head.until_close && !leftover && x.sent && !x.abandoned) {
        // No longer ours: another lane may have it by the time front takes, or leaves, the last of this answer.
        context_.pool.put(std::exchange(x.connection, nullptr));
      }
    }
    if (!out.empty()) {
      x.told = true;
      if (!co_await send(out)) {
        x.gone = true;
        co_return Outcome::broken;
      }
      out.clear();
    }
  }
  co_return Outcome::done;
}

}  // namespace bulkhead::egress
