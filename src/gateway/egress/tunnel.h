// One opaque connection that a tcp grant allows: dialled like any other, then bytes both ways, counted and unread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "gateway/egress/context.h"
#include "gateway/egress/frames.h"

namespace bulkhead::egress {

// Uses a lane up: whoever calls run() closes it afterwards.
class Tunnel : public std::enable_shared_from_this<Tunnel> {
 public:
  // `socket` and `frames` are the lane's and outlive run().
  Tunnel(std::shared_ptr<Context> context, Frames::Socket& socket, Frames& frames, lane::Tunnel asked)
      : owner_(std::move(context)),
        context_(*owner_),
        socket_(socket),
        frames_(frames),
        asked_(std::move(asked)),
        upload_ended_(context_.io, boost::asio::steady_timer::time_point::max()) {}

  boost::asio::awaitable<void> run();

 private:
  boost::asio::awaitable<bool> open();
  boost::asio::awaitable<void> upload();
  boost::asio::awaitable<void> download();
  boost::asio::awaitable<bool> send(std::string_view bytes);
  void cut(std::string reason);
  void record_end();

  const std::shared_ptr<Context> owner_;
  Context& context_;
  Frames::Socket& socket_;
  Frames& frames_;
  const lane::Tunnel asked_;
  Permits::Permit permit_;
  std::optional<Live::Entry> live_;
  std::shared_ptr<Connection> connection_;
  boost::asio::steady_timer upload_ended_;
  bool uploading_ = false;
  std::string reason_;  // why it ended early, or empty
  std::uint64_t up_ = 0, down_ = 0;
};

}  // namespace bulkhead::egress
