#include "gateway/front/h2_connection.h"

#include <algorithm>

namespace bulkhead::front {
namespace {

constexpr std::size_t read_at_once = 16 * 1024;  // a TLS record
constexpr std::size_t write_at_once = 64 * 1024;

http::H2Session::Options options(const Limits& limits) {
  return {.limits = limits.h2, .head = limits.http};
}

}  // namespace

H2Connection::H2Connection(Shared& shared, std::shared_ptr<void> owner, Stream& stream, const Arrival& arrival)
    : shared_(shared),
      owner_(std::move(owner)),
      stream_(stream),
      arrival_(arrival),
      session_(http::H2Session::Role::server, *this, options(shared.limits)),
      write_signal_(shared.io),
      written_(shared.io) {}

H2Connection::~H2Connection() = default;

Task<void> H2Connection::run() {
  const auto self = shared_from_this();
  writing_ = true;
  asio::co_spawn(shared_.io, [self]() -> Task<void> { co_await self->write(); }, asio::detached);
  while (!shared_.stopped && co_await read()) begin();
  leave();
  while (writing_) co_await written_.wait();
  if (!lost_) co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
}

// One portion of what the client sends. False: the connection ends here.
Task<bool> H2Connection::read() {
  // A head has its own time, from its first frame to its last; a connection without streams may be quiet for a while;
  // with streams, the streams know how long to wait.
  if (!session_.in_head()) {
    heading_ = false;
    if (exchanges_.empty()) {
      stream_.set_deadline(shared_.limits.idle);
    } else {
      stream_.clear_deadline();
    }
  } else if (!std::exchange(heading_, true)) {
    stream_.set_deadline(shared_.limits.head);
  }
  if (!input_) input_ = std::make_unique_for_overwrite<char[]>(read_at_once);
  const std::size_t got = co_await stream_.read(input_.get(), read_at_once);
  if (got == 0) {
    if (stream_.take_expired()) {
      if (heading_) (void)record_malformed(shared_, arrival_, {408, "slow", "the request did not come in time"});
      session_.end(http::H2Code::no_error);
    } else if (writing_) {  // or write() has ended it
      lost_ = true;
    }
    co_return false;
  }
  const auto taken = session_.receive({input_.get(), got}, Clock::now());
  if (exchanges_.empty()) input_.reset();
  wake();
  if (!taken) co_return false;
  co_return !session_.finished();
}

// Exchanges begin outside of the session's calls.
void H2Connection::begin() {
  for (const std::int32_t stream : std::exchange(opened_, {})) {
    const auto found = exchanges_.find(stream);
    if (found == exchanges_.end()) continue;
    asio::co_spawn(
        shared_.io, [exchange = found->second]() -> Task<void> { co_await exchange->run(); }, asio::detached);
  }
}

// Nothing more is read: the streams that are left have nobody.
void H2Connection::leave() {
  if (const auto& violated = session_.violated()) {
    record_refused(shared_, arrival_, "HTTP/2: " + violated->reason, violated->text);
  }
  leaving_ = true;
  for (const std::int32_t stream : std::exchange(opened_, {})) exchanges_.erase(stream);  // nobody has looked at them
  for (const auto& [stream, exchange] : exchanges_) {
    exchange->on_closed(static_cast<std::uint32_t>(http::H2Code::cancel));
  }
  wake();
}

Task<void> H2Connection::write() {
  const auto self = shared_from_this();
  std::string out;
  while (!lost_) {
    session_.send(out, write_at_once);
    if (out.empty()) {
      if (leaving_ || session_.finished()) break;
      if (exchanges_.empty()) out = {};
      (void)co_await write_signal_.wait();
      continue;
    }
    if (!co_await stream_.write(out, shared_.limits.write)) {
      lost_ = true;
      break;
    }
    out.clear();
  }
  // Where the library ended it, or the client takes nothing: there is nothing to read for either.
  if (!leaving_) stream_.stop_reading();
  writing_ = false;
  written_.notify();
}

void H2Connection::took(std::int32_t stream, std::size_t bytes) {
  shared_.h2_held -= bytes;
  session_.consumed(stream, bytes);
  wake();
}

bool H2Connection::may_hold(std::size_t bytes) const {
  return shared_.h2_held + bytes <= shared_.limits.h2_held;
}

void H2Connection::done(std::int32_t stream) {
  exchanges_.erase(stream);
  // A connection that is idle from now on.
  if (exchanges_.empty() && !heading_ && !leaving_) stream_.set_deadline(shared_.limits.idle);
}

H2Exchange* H2Connection::find(std::int32_t stream) {
  const auto found = exchanges_.find(stream);
  return found == exchanges_.end() ? nullptr : found->second.get();
}

void H2Connection::on_block(std::int32_t stream, http::H2Block block, bool ended) {
  if (H2Exchange* exchange = find(stream)) return exchange->on_trailers();
  if (leaving_) return;
  exchanges_.emplace(stream, std::make_shared<H2Exchange>(shared_from_this(), stream, std::move(block), ended));
  opened_.push_back(stream);
}

void H2Connection::on_data(std::int32_t stream, std::string_view bytes) {
  shared_.h2_held += bytes.size();
  if (H2Exchange* exchange = find(stream)) return exchange->on_data(bytes);
  took(stream, bytes.size());
}

void H2Connection::on_end(std::int32_t stream) {
  if (H2Exchange* exchange = find(stream)) exchange->on_end();
}

void H2Connection::on_closed(std::int32_t stream, std::uint32_t code) {
  if (H2Exchange* exchange = find(stream)) exchange->on_closed(code);
}

void H2Connection::on_malformed(std::int32_t, std::string why) {
  (void)record_malformed(shared_, arrival_, {400, "http2", "HTTP/2 that is against its rules: " + std::move(why)});
}

http::H2Supply H2Connection::on_read(std::int32_t stream, std::span<char> into) {
  if (H2Exchange* exchange = find(stream)) return exchange->on_read(into);
  return {.wait = true};
}

void H2Connection::on_sent_end(std::int32_t stream) {
  if (H2Exchange* exchange = find(stream)) exchange->on_sent_end();
}

}  // namespace bulkhead::front
