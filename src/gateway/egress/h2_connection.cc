#include "gateway/egress/h2_connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "gateway/egress/context.h"
#include "gateway/egress/limits.h"
#include "gateway/http/h2_rules.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

namespace {

constexpr int max_interim = 8;

// What a server may make us do differs from what a client may: its windows are wider, it opens no streams.
http::H2Session::Options options(bool wipe) {
  http::H2Session::Options out;
  out.limits.stream_window = 1024 * 1024;
  out.limits.connection_window = 16 * 1024 * 1024;
  out.wipe = wipe;
  return out;
}

}  // namespace

// ---- one stream

H2Stream::H2Stream(std::shared_ptr<H2Connection> connection, bool head_request, std::chrono::milliseconds quiet)
    : connection_(std::move(connection)),
      quiet_(quiet),
      head_request_(head_request),
      answer_signal_(connection_->io_),
      request_signal_(connection_->io_) {}

// False: nothing moved on this stream for too long, whatever goes on beside it.
asio::awaitable<bool> H2Stream::wait(asio::steady_timer& signal) {
  signal.expires_after(quiet_);
  boost::system::error_code notified;
  co_await signal.async_wait(asio::redirect_error(asio::use_awaitable, notified));
  co_return static_cast<bool>(notified);
}

asio::awaitable<tl::expected<H2Stream::Event, H2Stream::Broken>> H2Stream::next() {
  for (;;) {
    if (abandoned_) co_return tl::unexpected(Broken{{502, "upstream", "given up"}});
    if (broken_) co_return tl::unexpected(*broken_);
    if (head_) {
      Event event{Event::Kind::head, std::move(*head_)};
      head_.reset();
      co_return event;
    }
    if (!in_.empty()) co_return Event{.kind = Event::Kind::body, .body = std::exchange(in_, {})};
    if (trailers_) {
      Event event{.kind = Event::Kind::trailers, .trailers = std::move(*trailers_)};
      trailers_.reset();
      co_return event;
    }
    if (ended_) co_return Event{Event::Kind::end};
    if (dropped_) co_return Event{Event::Kind::dropped};
    // What moves the other way counts too.
    if (!co_await wait(answer_signal_) && Connection::Clock::now() - moved_ >= quiet_) {
      broken_ = Broken{{504, "timeout", "the server was silent for too long"}};
      abandon();
      co_return tl::unexpected(*broken_);
    }
  }
}

void H2Stream::took(std::size_t bytes) {
  connection_->session_.consumed(id_, bytes);
  connection_->wake();
}

asio::awaitable<bool> H2Stream::write(std::string_view bytes) {
  while (waiting() >= transfer && !no_writing_ && !closed_) {
    if (!co_await wait(request_signal_) && waiting() >= transfer) stop_writing();
  }
  if (no_writing_ || closed_) co_return false;
  if (out_begin_ == out_.size()) {
    out_.clear();
    out_begin_ = 0;
  }
  out_ += bytes;
  connection_->session_.resume(id_);
  connection_->wake();
  co_return true;
}

void H2Stream::end() {
  out_ended_ = true;
  connection_->session_.resume(id_);
  connection_->wake();
}

void H2Stream::stop_writing() {
  no_writing_ = true;
  request_signal_.cancel();
}

void H2Stream::abandon() {
  if (std::exchange(abandoned_, true)) return;
  stop_writing();
  answer_signal_.cancel();
  took(std::exchange(in_, {}).size());
  if (closed_) return;
  connection_->session_.reset(id_, http::H2Code::cancel);
  connection_->wake();
  connection_->forget(id_);
}

void H2Stream::refuse(std::string text) {
  if (!broken_) broken_ = Broken{{502, "protocol", "the server's answer was refused: " + std::move(text)}};
  connection_->session_.reset(id_, http::H2Code::protocol_error);
  answer_signal_.cancel();
}

void H2Stream::on_block(http::H2Block block, bool ended) {
  if (broken_ || abandoned_) return;
  answer_signal_.cancel();
  if (block.too_large) return refuse("more header fields than any head has");
  if (have_head_) {
    auto trailers = http::h2_trailers(block.fields, ended);
    if (!trailers) return refuse(trailers.error().text);
    if (body_ == lane::BodyKind::length && came_ != length_) return refuse("its body is shorter than it says");
    // Behind an answer that has no body there is nothing for them to follow.
    if (!trailers->empty() && body_ != lane::BodyKind::none) trailers_ = std::move(*trailers);
    ended_ = true;
    return;
  }
  auto head = http::h2_response_head(block.fields, ended, head_request_);
  if (!head) return refuse(head.error().text);
  if (head->status < 200) {
    if (++interim_ > max_interim) refuse("interim answers without end");
    return;
  }
  have_head_ = true;
  body_ = head->body;
  length_ = head->body_length;
  head_ = std::move(*head);
  ended_ = ended;
}

// ---- the connection

H2Connection::H2Connection(asio::io_context& io, std::shared_ptr<Connection> connection, bool wipe,
                           std::chrono::milliseconds quiet)
    : io_(io),
      connection_(std::move(connection)),
      wipe_(wipe),
      quiet_(quiet),
      session_(http::H2Session::Role::client, *this, options(wipe)),
      write_signal_(io),
      heard_signal_(io),
      idle_since_(Connection::Clock::now()) {}

void H2Connection::start() {
  const auto self = shared_from_this();
  asio::co_spawn(io_, [self]() -> asio::awaitable<void> { co_await self->read(); }, rethrow);
  asio::co_spawn(io_, [self]() -> asio::awaitable<void> { co_await self->write(); }, rethrow);
}

bool H2Connection::has_room() const {
  const std::size_t allowed = heard_ ? session_.peer_streams() : 1;
  return usable() && streams_.size() < std::min(allowed, max_lanes);
}

std::shared_ptr<H2Stream> H2Connection::open(const http::H2Session::Pseudo& pseudo, const lane::Headers& headers,
                                             std::string_view secret, bool body) {
  if (!has_room()) return nullptr;
  auto stream = std::make_shared<H2Stream>(shared_from_this(), pseudo.method == "HEAD", quiet_);
  const auto id = session_.request(pseudo, headers, secret, body);
  if (!id) return nullptr;
  stream->id_ = *id;
  stream->out_ended_ = !body;
  streams_.emplace(*id, stream);
  ++requests_;
  connection_->extend(quiet_);
  wake();
  return stream;
}

asio::awaitable<void> H2Connection::greeted(std::chrono::milliseconds patience) {
  if (heard_ || over_) co_return;
  heard_signal_.expires_after(patience);
  boost::system::error_code heard;
  co_await heard_signal_.async_wait(asio::redirect_error(asio::use_awaitable, heard));
}

void H2Connection::retire() {
  retired_ = true;
  if (streams_.empty() && !over_) {
    session_.end(http::H2Code::no_error);
    wake();
  }
}

asio::awaitable<void> H2Connection::read() {
  const auto self = shared_from_this();
  std::vector<char> buffer(transfer);
  std::string why = "it was closed";
  while (!over_) {
    const auto got = co_await connection_->read_some(buffer);
    if (over_) co_return;
    if (!got) why = got.error().message;
    if (!got || *got == 0) break;
    const auto taken = session_.receive({buffer.data(), *got}, http::H2Session::Clock::now());
    if (!std::exchange(heard_, true)) heard_signal_.cancel();
    wake();
    if (!taken) {
      why = "refused: " + taken.error().text;
      break;
    }
  }
  lost(why);
}

asio::awaitable<void> H2Connection::write() {
  const auto self = shared_from_this();
  std::string out;
  out.reserve(transfer + 32 * 1024);  // or growing would leave a credential behind
  for (;;) {
    session_.send(out, transfer);
    if (out.empty()) {
      if (over_ || session_.finished()) break;
      boost::system::error_code notified;
      write_signal_.expires_at(asio::steady_timer::time_point::max());
      co_await write_signal_.async_wait(asio::redirect_error(asio::use_awaitable, notified));
      continue;
    }
    const auto written = co_await connection_->write(out);
    if (wipe_) wipe(out);
    out.clear();
    if (!written) break;  // read() finds out why
  }
  // read() ends with it, and says so to the streams.
  connection_->abort();
}

void H2Connection::lost(const std::string& why) {
  if (std::exchange(over_, true)) return;
  heard_signal_.cancel();
  const auto& violated = session_.violated();
  for (const auto& [id, stream] : std::exchange(streams_, {})) {
    stream->closed_ = true;
    stream->request_signal_.cancel();
    stream->answer_signal_.cancel();
    if (stream->broken_ || stream->ended_) continue;
    if (violated) {
      stream->broken_ = H2Stream::Broken{{502, "protocol", "the server's HTTP/2 was refused: " + violated->text}};
    } else if (connection_->timed_out()) {
      stream->broken_ = H2Stream::Broken{{504, "timeout", "the server was silent for too long"}};
    } else {
      // A connection that was kept and turns out dead has carried nothing: as in HTTP/1.
      const bool unprocessed = requests_ > 1 && !stream->have_head_ && stream->interim_ == 0;
      stream->broken_ = H2Stream::Broken{{502, "upstream", "the connection to the server broke: " + why}, unprocessed};
    }
  }
  wake();
}

H2Stream* H2Connection::find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void H2Connection::forget(std::int32_t id) {
  streams_.erase(id);
  if (!streams_.empty()) return;
  idle_since_ = Connection::Clock::now();
  connection_->rest();
  if (retired_) retire();
}

void H2Connection::on_block(std::int32_t id, http::H2Block block, bool ended) {
  if (H2Stream* stream = find(id)) stream->on_block(std::move(block), ended);
}

void H2Connection::on_data(std::int32_t id, std::string_view bytes) {
  H2Stream* stream = find(id);
  if (stream == nullptr || stream->broken_ || stream->abandoned_) {
    session_.consumed(id, bytes.size());
    return;
  }
  stream->came_ += bytes.size();
  const bool fits = stream->have_head_ && stream->body_ != lane::BodyKind::none &&
                    (stream->body_ != lane::BodyKind::length || stream->came_ <= stream->length_);
  if (!fits) {
    session_.consumed(id, bytes.size());
    return stream->refuse("more of a body than its head says");
  }
  stream->in_ += bytes;
  stream->moved_ = Connection::Clock::now();
  stream->answer_signal_.cancel();
}

void H2Connection::on_end(std::int32_t id) {
  H2Stream* stream = find(id);
  if (stream == nullptr || stream->broken_) return;
  if (!stream->have_head_) return stream->refuse("no head");
  if (stream->body_ == lane::BodyKind::length && stream->came_ != stream->length_) {
    return stream->refuse("its body is shorter than it says");
  }
  stream->ended_ = true;
  stream->answer_signal_.cancel();
}

void H2Connection::on_closed(std::int32_t id, std::uint32_t code) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const std::shared_ptr<H2Stream> stream = found->second;
  stream->closed_ = true;
  const bool no_error = code == static_cast<std::uint32_t>(http::H2Code::no_error);
  if (no_error && stream->have_head_ && !stream->ended_ && !stream->broken_) {
    const bool whole = stream->body_ == lane::BodyKind::length && stream->came_ == stream->length_;
    (whole ? stream->ended_ : stream->dropped_) = true;
  } else if (!stream->ended_ && !stream->broken_) {
    const bool unprocessed = code == static_cast<std::uint32_t>(http::H2Code::refused_stream);
    stream->broken_ = H2Stream::Broken{
        {502, "upstream", std::string("the server gave the request up: ") + http::name_of_h2_code(code)}, unprocessed};
  }
  stream->answer_signal_.cancel();
  stream->request_signal_.cancel();
  forget(id);
}

void H2Connection::on_malformed(std::int32_t id, std::string why) {
  if (H2Stream* stream = find(id)) stream->refuse(std::move(why));
}

http::H2Supply H2Connection::on_read(std::int32_t id, std::span<char> into) {
  H2Stream* stream = find(id);
  if (stream == nullptr) return {.wait = true};
  const std::size_t n = std::min(into.size(), stream->waiting());
  std::copy_n(stream->out_.begin() + static_cast<std::ptrdiff_t>(stream->out_begin_), n, into.begin());
  stream->out_begin_ += n;
  if (n > 0) {
    stream->moved_ = Connection::Clock::now();
    stream->request_signal_.cancel();
  }
  const bool empty = stream->waiting() == 0;
  return {.bytes = n, .wait = empty && !stream->out_ended_, .end = empty && stream->out_ended_};
}

// Requests past the server's last are closed by the library, as refused (RFC 9113 §6.8).
void H2Connection::on_goaway(std::int32_t) {
  retired_ = true;
}

}  // namespace bulkhead::egress
