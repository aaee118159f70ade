#include "gateway/egress/tunnel.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "gateway/egress/limits.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

asio::awaitable<bool> Tunnel::send(std::string_view bytes) {
  boost::system::error_code ec;
  co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                             asio::redirect_error(asio::use_awaitable, ec));
  co_return !ec;
}

// Both directions end; what was read and not passed on is lost, as with any connection that breaks.
void Tunnel::cut(std::string reason) {
  if (reason_.empty()) reason_ = std::move(reason);
  if (connection_) connection_->abort();
  boost::system::error_code ignored;
  socket_.shutdown(Frames::Socket::shutdown_both, ignored);
}

void Tunnel::record_end() {
  (void)context_.record("upstream.close", {{"grant", asked_.grant},
                                           {"host", asked_.host},
                                           {"port", asked_.port},
                                           {"reason", reason_.empty() ? "end" : reason_},
                                           {"bytes_up", up_},
                                           {"bytes_down", down_}});
}

asio::awaitable<bool> Tunnel::open() {
  auto permit = context_.permits.judge(asked_);
  std::optional<lane::Failure> failure;
  if (permit) {
    permit_ = std::move(*permit);
    live_.emplace(context_.live, *permit_.grant, permit_.rule, [this](Gone why) { cut(name_of(why)); });
    auto dialled = co_await context_.dialer.dial({asked_.host, asked_.port, false, permit_.grant->address, true});
    if (dialled) {
      connection_ = std::move(*dialled);
      if (!reason_.empty()) failure = lane::Failure{403, reason_, "its grant was withdrawn meanwhile"};
    } else {
      failure = std::move(dialled).error();
    }
  } else {
    failure = std::move(permit).error();
  }
  if (failure) {
    if (!context_.record("upstream.failure", {{"grant", asked_.grant},
                                              {"host", asked_.host},
                                              {"port", asked_.port},
                                              {"reason", failure->reason},
                                              {"text", failure->text}})) {
      co_return false;
    }
    const std::string frame = lane::encode(*failure);
    (void)co_await send(frame);
    co_return false;
  }
  // Said before it happens, as with every use of a grant.
  if (!context_.record("upstream.open", {{"grant", asked_.grant},
                                         {"host", asked_.host},
                                         {"port", asked_.port},
                                         {"address", connection_->address},
                                         {"proxy", connection_->proxy}})) {
    co_return false;
  }
  connection_->never_expire();
  const std::string frame = lane::encode_opened();
  co_return co_await send(frame);
}

asio::awaitable<void> Tunnel::run() {
  const auto self = shared_from_this();
  if (!co_await open()) co_return;
  std::optional<UnderWay::Entry> entry;
  entry.emplace(context_.under_way, [this] {
    if (reason_.empty()) reason_ = "ended";
    record_end();
  });
  uploading_ = true;
  asio::co_spawn(context_.io, upload(), rethrow);
  co_await download();
  while (uploading_) {
    boost::system::error_code ignored;
    co_await upload_ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  entry.reset();
  if (!context_.stopped) record_end();
}

asio::awaitable<void> Tunnel::upload() {
  const auto self = shared_from_this();
  for (;;) {
    const auto frame = co_await frames_.next();
    if (!frame) {
      cut("client-gone");
      break;
    }
    if (frame->kind == lane::Kind::end) {
      connection_->end_writing();
      break;
    }
    if (frame->kind != lane::Kind::body) {
      cut("protocol");
      break;
    }
    up_ += frame->payload.size();
    if (const auto failure = context_.permits.count_up(permit_, frame->payload.size())) {
      cut(failure->reason);
      break;
    }
    if (const auto written = co_await connection_->write(frame->payload); !written) {
      cut("upstream");
      break;
    }
  }
  uploading_ = false;
  upload_ended_.cancel();
}

asio::awaitable<void> Tunnel::download() {
  for (;;) {
    const auto got = co_await connection_->read_some(context_.scratch);
    if (context_.stopped || !reason_.empty()) {
      cut("ended");
      co_return;
    }
    if (!got) {
      cut("upstream");
      co_return;
    }
    std::string out;
    if (*got == 0) {
      out = lane::encode_end();
    } else {
      down_ += *got;
      if (const auto failure = context_.permits.count_down(permit_, *got)) {
        cut(failure->reason);
        co_return;
      }
      // Shared by all lanes: copied before anybody else gets to run. A read is at most one frame (limits.h).
      static_assert(transfer <= lane::max_body);
      out = lane::encode_body({context_.scratch.data(), *got});
    }
    if (!co_await send(out)) {
      cut("client-gone");
      co_return;
    }
    if (*got == 0) co_return;
  }
}

}  // namespace bulkhead::egress
