#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <ctime>

#include "base/text.h"
#include "gateway/egress/lane_exchange.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/response.h"
#include "gateway/egress/tunnel.h"

namespace bulkhead::egress {

namespace {

// With a credential in play, or values to redact, the answer must come whole and readable, or we could be led past it.
bool asks_for_less_than_all(std::string_view name) {
  return name == "accept-encoding" || name == "grpc-accept-encoding" || name == "range" || name == "if-range";
}

lane::Failure upstream_error(const Connection& connection, const std::string& message) {
  if (connection.timed_out()) return {504, "timeout", "the server was silent for too long"};
  return {502, "upstream", "the connection to the server broke: " + message};
}

}  // namespace

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
    if (frame && frame->kind == lane::Kind::tunnel) {
      auto asked = lane::decode_tunnel(frame->payload);
      if (asked) co_await std::make_shared<Tunnel>(owner_, socket_, frames_, std::move(*asked))->run();
      break;
    }
    if (!frame || frame->kind != lane::Kind::request) break;
    auto request = lane::decode_request(frame->payload);
    if (!request) break;
    if (!co_await exchange(std::move(*request))) break;
    frames_.rest();
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
}

asio::awaitable<bool> LaneSession::send(std::string_view bytes) {
  // At once where it fits, as it mostly does: through the event loop it would cost another turn of it. But a long
  // answer lets others run in between.
  if (++sends_ % at_once != 0) {
    const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    if (bytes.empty()) co_return true;
  }
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
  current_->carrier.abort();
}

// Its grant is gone. The upstream sees the connection end; what becomes of front depends on what it has been told.
void LaneSession::cut(Gone why) {
  Exchange& x = *current_;
  if (x.websocket) return x.websocket->cut(why);
  // A refresh that is with the server goes on: what it brings is the host's, and no grant takes what the workload gets.
  if (x.turn) return;
  if (x.answered) return;
  x.refused = {403, name_of(why), text_of(why)};
  x.abandoned = true;
  x.carrier.abort();
  if (!x.told) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

LaneSession::Outcome LaneSession::unfinished(const Exchange& x) {
  return x.told ? Outcome::broken : Outcome::failed;
}

LaneSession::Outcome LaneSession::fail(Exchange& x, lane::Failure failure) {
  x.failure = std::move(failure);
  return Outcome::failed;
}

asio::awaitable<bool> LaneSession::exchange(lane::Request request) {
  std::optional<Incoming> incoming;
  if (context_.signer) incoming.emplace(request);
  auto permit = context_.permits.judge(request);
  if (permit && incoming && permit->use_credential && is_websocket(request.scheme)) {
    permit = tl::unexpected(lane::Failure{403, "carrier", "the request that opens a WebSocket is not signed anew"});
  }
  if (permit && incoming && permit->use_credential && permit->rule->git) {
    // It would have to be held whole to be verified.
    permit = tl::unexpected(lane::Failure{403, "carrier", "a push is not judged and signed at once"});
  }
  if (permit && incoming && permit->use_credential) {
    if (const auto payload = incoming->payload()) {
      if (auto failure = incoming->verify(context_.signer->slot(), *payload)) permit = tl::unexpected(*failure);
    }
  }
  if (!permit) {
    if (!co_await fail_with(request, permit.error())) co_return false;
    co_return co_await drain(request, true);
  }
  ++number_;
  current_ = std::make_unique<Exchange>(context_.io, std::move(request));
  Exchange& x = *current_;
  x.permit = std::move(*permit);
  x.rules.emplace(x.permit.grant->response);
  x.target.address = x.permit.grant->address;
  if (incoming && x.permit.use_credential) {
    auto payload = incoming->payload();
    x.signature.emplace(Signature{std::move(*incoming), std::move(payload), std::nullopt});
  }
  std::optional<Live::Entry> live;
  live.emplace(context_.live, *x.permit.grant, x.permit.rule, [this](Gone why) { cut(why); });
  if (x.request.body == lane::BodyKind::none) {
    if (!co_await drain(x.request, false)) co_return false;
    watch_for_hangup();
  } else if (x.permit.rule->json || x.permit.rule->git || x.permit.rule->refresh ||
             (x.signature && !x.signature->payload)) {
    if (!(x.permit.rule->git ? co_await hold_commands(x) : co_await hold(x))) co_return false;
    if (x.permit.rule->refresh && !x.refused) co_await begin_refresh(x);
    if (x.refused) {
      const bool keep = co_await fail_with(x.request, *x.refused) && (x.whole || co_await drain(x.request, true));
      current_.reset();
      co_return keep;
    }
    // Who asked for a refresh may go; its answer is wanted all the same, for the host's file.
    if (x.whole && !x.turn) watch_for_hangup();
  }

  // The session may end before it does.
  std::optional<UnderWay::Entry> entry;
  entry.emplace(context_.under_way, [this, &x] {
    if (x.websocket) return x.websocket->record_end("ended");
    if (!x.answered) record_failure(x, "ended", "the session ended before the answer was whole");
  });
  Outcome outcome = co_await attempt(x, false);
  if (outcome == Outcome::retry) outcome = co_await attempt(x, true);
  if (outcome == Outcome::failed && follow(x)) {
    outcome = co_await attempt(x, false);
    if (outcome == Outcome::retry) outcome = co_await attempt(x, true);
  }
  if (outcome == Outcome::became_websocket) {
    co_await x.websocket->run();
    entry.reset();
    live.reset();
    co_return false;  // what the lane carried is over, and so is the lane
  }
  entry.reset();
  live.reset();
  if (context_.stopped) co_return false;

  x.answered = true;
  if (!x.uploading) {
    boost::system::error_code ignored;
    socket_.cancel(ignored);  // the watch
  }
  if (outcome == Outcome::failed && !x.gone) {
    if (!co_await fail_with(x.request, x.failure)) co_return false;
    const bool unread = x.request.body != lane::BodyKind::none && !x.upload_begun && !x.whole;
    if (unread && !co_await drain(x.request, true)) co_return false;
  } else if (outcome != Outcome::done) {
    // Half an answer, or nobody to give it to.
    record_failure(x,
                   x.refused                  ? x.refused->reason
                   : x.gone                   ? "client-gone"
                   : x.failure.reason.empty() ? "truncated"
                                              : x.failure.reason,
                   x.failure.text);
    x.carrier.abort();
    boost::system::error_code ignored;
    socket_.close(ignored);  // also ends upload()
  }
  while (x.uploading) {
    boost::system::error_code ignored;
    co_await x.upload_ended.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const bool keep = (outcome == Outcome::done || outcome == Outcome::failed) && !x.gone;
  if (x.permit.rule->refresh && x.held) {
    context_.held -= x.held->bytes.size();
    wipe(x.held->bytes);
  }
  current_.reset();
  co_return keep;
}

const Patterns& LaneSession::patterns(const Exchange& x) const {
  return x.target.tls ? context_.patterns : context_.plain_patterns;
}

lane::Headers LaneSession::request_headers(const Exchange& x) const {
  lane::Headers headers;
  headers.reserve(x.request.headers.size() + 4);
  const bool read = context_.reads_answers() || !patterns(x).empty() || x.rules->reads();
  const std::string_view slot = context_.slot_name();
  for (const auto& header : x.request.headers) {
    // A key that only signs goes nowhere, so no part of an answer can hold the rest of it.
    const bool whole = !context_.signer || x.rules->reads() || header.first == "accept-encoding";
    if (read && whole && asks_for_less_than_all(header.first)) continue;
    if (!slot.empty() && header.first == slot) continue;  // the slot is ours alone
    headers.push_back(header);
  }
  if (read) headers.emplace_back("accept-encoding", "identity");
  if (x.signature && context_.signer) {
    context_.signer->sign(headers, x.request.method, x.target.host_header(), x.request.target,
                          x.signature->payload.value_or(""), std::time(nullptr));
  } else if (const CredentialHeader* own = x.permit.use_credential ? context_.header_for(x.request) : nullptr) {
    headers.emplace_back(own->name, own->value.reveal());
  }
  return headers;
}

std::string LaneSession::request_head(const Exchange& x) const {
  lane::Headers headers = request_headers(x);
  std::string head = x.key.empty() ? http::serialise_request(x.request.method, x.target.host_header(), x.request.target,
                                                             headers, x.request.body, x.request.body_length)
                                   : http::serialise_upgrade(x.target.host_header(), x.request.target, headers, x.key);
  if (x.permit.use_credential && !headers.empty()) wipe(headers.back().second);
  return head;
}

// The answer was a redirect that the grant lets us follow: from here on the exchange is about what it leads to. What
// the workload sent goes no further, and neither does the credential.
bool LaneSession::follow(Exchange& x) {
  if (!x.redirect || x.refused || x.gone || !record_answer(x)) return false;
  x.request.host = x.target.host = std::move(x.redirect->host);
  x.request.target = std::move(x.redirect->target);
  x.redirect.reset();
  x.followed = true;
  x.target.address.clear();  // it was the first host's
  x.permit.use_credential = false;
  x.signature.reset();
  std::erase_if(x.request.headers, [](const auto& h) { return h.first != "accept" && h.first != "user-agent"; });
  x.sent = false;
  return true;
}

// Does the request's slot name a value that no server has handed out, or one that is forgotten?
bool LaneSession::names_nothing(Exchange& x) const {
  if (!x.permit.use_credential || !context_.issued || context_.header_for(x.request) != nullptr) return false;
  x.failure = {403, "carrier",
               "nothing that this session was handed out for credential \"" + context_.credential +
                   "\" has the number " + std::to_string(x.request.issued) +
                   " (any more); ask the server for a new one"};
  return true;
}

asio::awaitable<LaneSession::Outcome> LaneSession::attempt(Exchange& x, bool fresh) {
  if (x.refused) co_return fail(x, *x.refused);
  if (names_nothing(x)) co_return Outcome::failed;
  if (auto failure = co_await reach(x, fresh)) co_return fail(x, std::move(*failure));
  if (x.refused) co_return fail(x, *x.refused);
  if (names_nothing(x)) co_return Outcome::failed;  // forgotten meanwhile
  if (x.gone || context_.stopped) co_return Outcome::broken;
  const bool may_retry =
      !fresh && x.request.body == lane::BodyKind::none && repeatable(x.request.method) && (x.h2 || x.reused);
  // Said before it happens: a use that can't be recorded does not happen.
  if (x.permit.use_credential || x.turn) {
    evidence::Event use("credential.use");
    use.add("credential", context_.credential)
        .add("host", x.request.host)
        .add("port", x.request.port)
        .add("grant", x.permit.id);
    if (context_.issued && !x.turn) use.add("number", x.request.issued);
    if (!context_.record(use)) co_return Outcome::broken;
  }
  if (x.h2 && !open_h2(x)) {
    if (may_retry) co_return Outcome::retry;
    co_return fail(x, {502, "upstream", "the server takes no more requests on this connection"});
  }
  if (x.target.only_http1) x.key = websocket::make_key();
  std::string head = x.h2 ? std::string() : request_head(x);
  if (x.request.body != lane::BodyKind::none) {
    x.uploading = x.upload_begun = true;
    asio::co_spawn(context_.io, x.whole ? upload_held(std::move(head)) : upload(std::move(head)), rethrow);
  } else {
    if (!x.h2) {
      const auto written = co_await x.carrier.connection->write(head);
      wipe(head);
      if (!written) {
        if (x.gone) co_return Outcome::broken;
        if (x.refused) co_return fail(x, *x.refused);
        if (may_retry) co_return Outcome::retry;
        co_return fail(x, upstream_error(*x.carrier.connection, written.error().message));
      }
      x.carrier.connection->expect_answer();
    }
    x.sent = true;
  }
  Outcome outcome = Outcome::failed;
  if (x.h2) {
    outcome = co_await download_h2(x, may_retry);
  } else {
    outcome = co_await download(x, may_retry);
  }
  if (x.uploading && !x.sent) {  // answered, or failed, before the request was up: the rest of it is of no use
    x.abandoned = true;
    x.carrier.stop_writing();
  }
  co_return outcome;
}

// The server has agreed to a WebSocket, or says so. `out` becomes what front is told.
LaneSession::Outcome LaneSession::switched(Exchange& x, const http::ResponseHead& head, std::string_view early,
                                           std::string& out) {
  std::string protocol;
  const auto offered = websocket::offered_protocols(x.request.headers);
  if (const auto wrong = websocket::judge_switch(head.headers, x.key, offered, protocol)) {
    return fail(x, {502, "protocol", *wrong});
  }
  x.status = head.status;
  if (!record_answer(x)) return Outcome::broken;
  lane::Headers headers;
  if (!protocol.empty()) headers.emplace_back("sec-websocket-protocol", protocol);
  out = lane::encode(lane::Response{.status = 101, .headers = std::move(headers)});
  x.answered = x.told = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);  // the watch
  x.websocket = std::make_shared<WebSocket>(owner_, WebSocket::Parts{.socket = socket_,
                                                                     .frames = frames_,
                                                                     .connection = x.carrier.connection,
                                                                     .permit = x.permit,
                                                                     .host = x.request.host,
                                                                     .port = x.request.port,
                                                                     .early = std::string(early),
                                                                     .patterns = patterns(x)});
  return Outcome::became_websocket;
}

asio::awaitable<LaneSession::Outcome> LaneSession::download(Exchange& x, bool may_retry) {
  http::ResponseReader reader(x.request.method, {}, !x.key.empty());
  Scrubber scrubber(patterns(x));
  const std::shared_ptr<Connection> held = x.carrier.connection;
  Connection& connection = *held;
  std::string body, out;
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
        if (reader.state() == http::State::done && reader.head().status == 101) {
          const Outcome outcome = switched(x, reader.head(), bytes, out);
          if (outcome == Outcome::became_websocket && !co_await send(out)) co_return Outcome::broken;
          co_return outcome;
        }
        if (!begun && reader.state() != http::State::head) {
          if (!begin_response(x, reader.head(), out)) co_return Outcome::failed;
          begun = true;
          const http::ResponseHead& head = reader.head();
          if (head.body == lane::BodyKind::length && head.body_length > transfer) connection.expect_much(true);
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
      if (!pass_body(x, scrubber, body, out)) co_return unfinished(x);
      body.clear();
    }
    if (reader.state() == http::State::done) {
      if (!end_body(x, scrubber, reader.head(), out)) co_return unfinished(x);
      out += lane::encode_end();
      // From here on front may begin the next exchange: what then comes on the lane is no hang-up.
      x.answered = true;
      const http::ResponseHead& head = reader.head();
      if (!record_answer(x)) co_return Outcome::broken;
      if (x.key.empty() && head.keep_alive && !head.until_close && !leftover && x.sent && !x.abandoned) {
        connection.expect_much(false);
        // No longer ours: another lane may have it by the time front takes, or leaves, the last of this answer.
        context_.pool.put(std::exchange(x.carrier.connection, nullptr));
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
