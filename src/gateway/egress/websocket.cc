#include "gateway/egress/websocket.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "gateway/egress/limits.h"
#include "policy/units.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds look_for_expiry{500};

// A frame with nothing in it says something all the same.
std::size_t counted(const lane::Message& part) {
  return std::max<std::size_t>(part.data.size(), 1);
}

}  // namespace

WebSocket::WebSocket(std::shared_ptr<Context> context, Parts parts)
    : owner_(std::move(context)),
      context_(*owner_),
      parts_(std::move(parts)),
      connection_(*parts_.connection),
      upload_ended_(context_.io, asio::steady_timer::time_point::max()),
      expiry_(context_.io) {}

asio::awaitable<bool> WebSocket::send(std::string_view bytes) {
  boost::system::error_code ec;
  co_await asio::async_write(parts_.socket, asio::buffer(bytes.data(), bytes.size()),
                             asio::redirect_error(asio::use_awaitable, ec));
  co_return !ec;
}

// The first reason is the one that counts. The server sees the connection end; download() tells front.
void WebSocket::fail(lane::Failure failure) {
  if (!failure_) failure_ = std::move(failure);
  connection_.abort();
}

void WebSocket::cut(Gone why) {
  fail({403, name_of(why), text_of(why)});
}

void WebSocket::record_end(const std::string& reason) {
  (void)context_.record("upstream.close", {{"grant", parts_.permit.id},
                                           {"host", parts_.host},
                                           {"port", parts_.port},
                                           {"reason", reason},
                                           {"bytes_up", up_},
                                           {"bytes_down", down_},
                                           {"messages_up", messages_up_},
                                           {"messages_down", messages_down_}});
}

// Nothing may move for hours, and the grant still ends when it is said to.
void WebSocket::watch_expiry() {
  expiry_.expires_after(look_for_expiry);
  expiry_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (error || !self || !self->running_) return;
    if (auto expired = self->context_.permits.expired(self->parts_.permit)) return self->fail(std::move(*expired));
    self->watch_expiry();
  });
}

asio::awaitable<void> WebSocket::run() {
  const auto self = shared_from_this();
  connection_.never_expire();
  uploading_ = running_ = true;
  watch_expiry();
  asio::co_spawn(context_.io, upload(), rethrow);
  co_await download();
  // Front ends the lane once it has passed on, or given up waiting for, the client's part of the closing handshake.
  while (uploading_) {
    boost::system::error_code ignored;
    co_await upload_ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  running_ = false;
  expiry_.cancel();
  if (!context_.stopped) record_end(failure_ ? failure_->reason : "end");
}

// Counts a part. False: failure_ says why it is too much.
bool WebSocket::fits(std::uint64_t& message, const lane::Message& part, const std::optional<std::uint64_t>& most) {
  if (websocket::is_control(part.opcode)) return true;
  message += part.data.size();
  const bool good = !most || message <= *most;
  if (!good) fail({413, "body", "a message is larger than the " + size_text(*most) + " the grant allows"});
  if (part.last) message = 0;
  return good;
}

// One message of front's. False: the connection ends.
bool WebSocket::take_up(std::string_view payload, std::string& out) {
  auto part = lane::decode_message(payload);
  if (!part || order_.take(*part)) {
    fail({502, "protocol", "front broke the lane's protocol"});
    return false;
  }
  up_ += part->data.size();
  if (auto failure = context_.permits.count_up(parts_.permit, counted(*part))) {
    fail(std::move(*failure));
    return false;
  }
  if (!fits(message_up_, *part, parts_.permit.rule->max_body)) return false;
  messages_up_ += part->last && !websocket::is_control(part->opcode) ? 1 : 0;
  out += websocket::frame(websocket::Sender::client, *part);
  return true;
}

asio::awaitable<void> WebSocket::upload() {
  const auto self = shared_from_this();
  std::string out;
  while (!failure_ && !order_.closed()) {
    const auto frame = co_await parts_.frames.next();
    if (!frame) {
      front_gone_ = true;
      // After the server's own close frame nothing is missing.
      if (!closed_down_) fail({502, "client-gone", ""});
      connection_.abort();
      break;
    }
    if (frame->kind != lane::Kind::message) {
      fail({502, "protocol", "front broke the lane's protocol"});
      break;
    }
    if (failure_ || !take_up(frame->payload, out)) break;
    // What front sent in one go also goes up in one go.
    if (!order_.closed() && parts_.frames.ready() && out.size() < transfer) continue;
    if (const auto written = co_await connection_.write(out); !written) {
      if (!closed_down_) fail({502, "upstream", "the connection to the server broke: " + written.error().message});
      break;
    }
    out.clear();
  }
  if (order_.closed()) connection_.expect_end();
  uploading_ = false;
  upload_ended_.cancel();
}

// Takes the credential out of a part, and holds back what could be the beginning of one.
void WebSocket::scrub(lane::Message& part, std::string& out) {
  if (websocket::is_control(part.opcode)) {
    parts_.patterns.scrub(part.data);
    out += lane::encode(part);
    return;
  }
  if (!scrubber_) scrubber_.emplace(parts_.patterns);
  std::string clean;
  scrubber_->feed(part.data, clean);
  if (part.last) {
    scrubber_->finish(clean);
    scrubber_.reset();
  }
  // The message's first part says its kind, whichever that comes to be.
  if (part.opcode != lane::Opcode::continuation) kind_down_ = part.opcode;
  std::string_view rest = clean;
  while (!rest.empty() || part.last) {
    const std::string_view now = rest.substr(0, websocket::max_part);
    rest.remove_prefix(now.size());
    const bool last = part.last && rest.empty();
    out += lane::encode(lane::Message{std::exchange(kind_down_, lane::Opcode::continuation), last, std::string(now)});
    if (last) break;
  }
}

// Frames of the server's. False: nothing more is taken from it.
bool WebSocket::take_down(std::string_view bytes, std::string& out) {
  for (;;) {
    auto part = reader_.next(bytes);
    if (!part) {
      fail({502, "protocol", "the server sent " + part.error()});
      return false;
    }
    if (!*part) return true;
    down_ += (*part)->data.size();
    if (auto failure = context_.permits.count_down(parts_.permit, counted(**part))) {
      fail(std::move(*failure));
      return false;
    }
    if (!fits(message_down_, **part, parts_.permit.grant->response.max_body)) return false;
    messages_down_ += (*part)->last && !websocket::is_control((*part)->opcode) ? 1 : 0;
    closed_down_ = (*part)->opcode == lane::Opcode::close;
    scrub(**part, out);
    if (closed_down_) return false;
  }
}

asio::awaitable<void> WebSocket::download() {
  std::string out;
  bool more = take_down(std::exchange(parts_.early, {}), out);
  while (more || !out.empty()) {
    if (!out.empty()) {
      if (!co_await send(out)) {
        front_gone_ = true;
        fail({502, "client-gone", ""});
        co_return;
      }
      out.clear();
      continue;
    }
    const auto got = co_await connection_.read_some(context_.scratch);
    if (context_.stopped) co_return;
    if (failure_) break;
    if (!got || *got == 0) {
      fail({502, "upstream", "the server ended the connection without closing the WebSocket"});
      break;
    }
    more = take_down({context_.scratch.data(), *got}, out);
  }
  if (failure_ && !front_gone_) {
    const std::string frame = lane::encode(*failure_);
    (void)co_await send(frame);
  }
  if (failure_) {  // front has nothing to add: upload() ends, too
    boost::system::error_code ignored;
    parts_.socket.shutdown(Frames::Socket::shutdown_both, ignored);
  }
  if (closed_down_ && !failure_) connection_.expect_end();
}

}  // namespace bulkhead::egress
