// The part of LaneSession that knows about HTTP/2: which connection a request goes on, and answers that come on one.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "gateway/egress/lane_exchange.h"
#include "gateway/egress/response.h"

namespace bulkhead::egress {

// Finds or makes the connection for the request: x.h2, or x.carrier.connection. A failure is what to answer.
asio::awaitable<std::optional<lane::Failure>> LaneSession::reach(Exchange& x, bool fresh) {
  const std::string key = x.target.key();
  Pool& pool = context_.pool;
  const auto take_h2 = [&](std::shared_ptr<H2Connection> connection) {
    x.carrier = {};
    x.h2 = std::move(connection);
    x.address = x.h2->address();
    x.proxy = x.h2->proxy();
    x.tls = x.h2->tls_version();
    x.reused = x.h2->requests() > 0;
  };
  const auto take_h1 = [&](std::shared_ptr<Connection> connection) {
    x.h2 = nullptr;
    x.carrier = {.connection = std::move(connection), .stream = nullptr};
    x.address = x.carrier.connection->address;
    x.proxy = x.carrier.connection->proxy;
    x.tls = x.carrier.connection->tls_version();
    x.reused = x.carrier.connection->reused;
  };
  x.carrier.abort();  // of an attempt before

  // What becomes a WebSocket is no other request's, and is HTTP/1.1 until then.
  if (x.target.only_http1) {
    auto dialled = co_await context_.dialer.dial(x.target);
    if (!dialled) co_return std::move(dialled).error();
    if ((*dialled)->speaks_h2()) co_return lane::Failure{502, "tls", "the server chose HTTP/2, which was not offered"};
    take_h1(std::move(*dialled));
    co_return std::nullopt;
  }

  // Fresh: anything but the connection that did not do.
  const std::shared_ptr<H2Connection> before = x.h2;
  const auto other_h2 = [&]() -> std::shared_ptr<H2Connection> {
    auto known = pool.h2(key);
    return known && (!fresh || known != before) ? known : nullptr;
  };
  std::shared_ptr<Pool::Dialling> dialling;
  while (x.target.tls) {
    if (auto known = other_h2()) {
      take_h2(std::move(known));
      co_return std::nullopt;
    }
    if (!pool.speaks_h2(key)) break;
    dialling = pool.dial(key);
    if (dialling) break;
    co_await pool.wait(key);
    if (x.gone || context_.stopped) co_return std::nullopt;
  }
  const bool grpc = x.permit.grant->protocol == Protocol::grpc;
  if (auto idle = fresh || grpc ? nullptr : pool.take(key)) {
    take_h1(std::move(idle));
    co_return std::nullopt;
  }
  auto dialled = co_await context_.dialer.dial(x.target);
  if (!dialled) co_return std::move(dialled).error();
  if (!(*dialled)->speaks_h2() && grpc) {
    co_return lane::Failure{502, "http2", "the server does not offer HTTP/2, which gRPC needs; no request was sent"};
  }
  if (!(*dialled)->speaks_h2()) {
    take_h1(std::move(*dialled));
    co_return std::nullopt;
  }
  // Others may have dialled at the same time, before anybody knew: one connection is enough.
  for (;;) {
    if (auto known = other_h2()) {
      take_h2(std::move(known));
      co_return std::nullopt;
    }
    if (!dialling) dialling = pool.dial(key);
    if (dialling) break;
    co_await pool.wait(key);
    if (x.gone || context_.stopped) co_return std::nullopt;
  }
  auto made = std::make_shared<H2Connection>(context_.io, std::move(*dialled), context_.reads_answers(),
                                             pool.registry()->timeouts.quiet);
  made->start();
  pool.put(made);
  take_h2(made);
  // The others go on waiting until the server has said how many it takes.
  asio::co_spawn(
      context_.io,
      [made = std::move(made), dialling = std::move(dialling),
       patience = pool.registry()->timeouts.handshake]() -> asio::awaitable<void> { co_await made->greeted(patience); },
      rethrow);
  co_return std::nullopt;
}

// The request's head, as a stream of x.h2. False: the connection takes no more.
bool LaneSession::open_h2(Exchange& x) {
  const lane::Request& request = x.request;
  const bool body = request.body != lane::BodyKind::none;
  lane::Headers headers = request_headers(x);
  std::string_view secret;
  if (x.permit.use_credential) secret = context_.slot_name();
  // gRPC servers refuse requests without it. It is about this hop, so front's is never passed on.
  if (x.permit.grant->protocol == Protocol::grpc) headers.emplace(headers.begin(), "te", "trailers");
  const std::string length = std::to_string(request.body_length);
  if (request.body == lane::BodyKind::length) {
    headers.emplace(headers.begin(), "content-length", length);  // the credential stays last
  }
  x.carrier.stream =
      x.h2->open({request.method, request.scheme, x.target.host_header(), request.target}, headers, secret, body);
  if (x.permit.use_credential && !headers.empty()) wipe(headers.back().second);
  return x.carrier.stream != nullptr;
}

asio::awaitable<LaneSession::Outcome> LaneSession::download_h2(Exchange& x, bool may_retry) {
  using Kind = H2Stream::Event::Kind;
  const std::shared_ptr<H2Stream> stream = x.carrier.stream;
  Scrubber scrubber(context_.patterns);
  http::ResponseHead head;
  bool begun = false;
  std::string trailers, out;
  for (;;) {
    auto event = co_await stream->next();
    if (context_.stopped || x.gone) co_return Outcome::broken;
    if (x.refused) {
      x.failure = *x.refused;
      co_return unfinished(x);
    }
    if (!event) {
      if (may_retry && !begun && event.error().unprocessed) co_return Outcome::retry;
      x.failure = std::move(event.error().failure);
      co_return unfinished(x);
    }
    // What was kept to be judged as a whole is not known to be one.
    if (event->kind == Kind::dropped && x.held_answer) {
      x.failure = {502, "truncated", "the server gave its answer up"};
      co_return unfinished(x);
    }
    const bool last = event->kind == Kind::end || event->kind == Kind::dropped;
    std::size_t taken = 0;
    switch (event->kind) {
      case Kind::head:
        head = event->head;
        if (!begin_response(x, event->head, out)) co_return Outcome::failed;
        begun = true;
        break;
      case Kind::body:
        taken = event->body.size();
        if (!pass_body(x, scrubber, event->body, out)) co_return unfinished(x);
        break;
      case Kind::trailers: {
        const lane::Headers passed = downstream_headers(event->trailers, context_.patterns);
        // What hands something out could say it here too, before it is known.
        if (!passed.empty() && !x.rules->issues() && !x.turn) trailers = lane::encode_trailers(passed);
        break;
      }
      case Kind::end:
        if (!end_body(x, scrubber, head, out)) co_return unfinished(x);
        out += trailers + lane::encode_end();
        // From here on front may begin the next exchange: what then comes on the lane is no hang-up.
        x.answered = true;
        if (!record_answer(x)) co_return Outcome::broken;
        break;
      case Kind::dropped:
        if (!end_body(x, scrubber, head, out)) co_return unfinished(x);
        out += lane::encode_dropped();
        x.failure = {502, "truncated", "the server ended the stream, and did not say that this was all"};
        break;
    }
    if (!out.empty()) {
      x.told = true;
      if (!co_await send(out)) {
        x.gone = true;
        co_return Outcome::broken;
      }
      out.clear();
    }
    // The window opens as front takes.
    if (taken > 0) stream->took(taken);
    if (last) co_return event->kind == Kind::end ? Outcome::done : Outcome::broken;
  }
}

}  // namespace bulkhead::egress
