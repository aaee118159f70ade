// One HTTP/2 connection to an upstream, and the requests on it: shared by the lanes of this egress, which is to say by
// requests that carry the same credential or none. http/h2_session.h speaks the protocol; here are the bytes, the
// waiting, and the rules an answer has to follow.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "gateway/egress/connection.h"
#include "gateway/http/h2_session.h"

namespace bulkhead::egress {

class H2Connection;

// One request and its answer. One coroutine reads, another may write.
class H2Stream {
 public:
  struct Event {
    // dropped: the server ended the stream without an error and without saying that this was all (RST_STREAM with
    // NO_ERROR). Node's servers do so now and then behind a whole answer, and whenever a program closes its stream.
    enum class Kind { head, body, trailers, end, dropped } kind;
    http::ResponseHead head = {};
    std::string body = {};  // to be given back with took()
    lane::Headers trailers = {};
  };
  struct Broken {
    lane::Failure failure;
    bool unprocessed = false;  // the server says, or it is certain, that it has done nothing about the request
  };

  H2Stream(std::shared_ptr<H2Connection> connection, bool head_request, std::chrono::milliseconds quiet);
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  // What comes next; an answer ends with Kind::end or Kind::dropped.
  boost::asio::awaitable<tl::expected<Event, Broken>> next();
  void took(std::size_t bytes);

  // Waits while much is still to be sent. False: nobody wants it any more.
  boost::asio::awaitable<bool> write(std::string_view bytes);
  void end();  // of the request
  void stop_writing();
  // Ends next() and write(), and the stream. Nothing happens to one that has ended.
  void abandon();

 private:
  friend class H2Connection;
  boost::asio::awaitable<bool> wait(boost::asio::steady_timer& signal);
  void on_block(http::H2Block block, bool ended);
  void refuse(std::string text);
  std::size_t waiting() const { return out_.size() - out_begin_; }

  const std::shared_ptr<H2Connection> connection_;
  const std::chrono::milliseconds quiet_;
  const bool head_request_;
  std::int32_t id_ = 0;
  boost::asio::steady_timer answer_signal_, request_signal_;

  std::optional<http::ResponseHead> head_;
  bool have_head_ = false;  // it came
  int interim_ = 0;
  std::string in_;
  std::uint64_t came_ = 0;
  lane::BodyKind body_ = lane::BodyKind::none;
  std::uint64_t length_ = 0;
  std::optional<lane::Headers> trailers_;
  bool ended_ = false;  // the answer
  bool dropped_ = false;
  bool closed_ = false;  // the stream
  bool abandoned_ = false;
  Connection::Clock::time_point moved_ = {};  // bytes of a body, either way
  std::optional<Broken> broken_;

  std::string out_;
  std::size_t out_begin_ = 0;
  bool out_ended_ = false, no_writing_ = false;
};

class H2Connection final : public std::enable_shared_from_this<H2Connection>, private http::H2Handler {
 public:
  // `wipe`: a credential passes through. The connection agreed on HTTP/2.
  H2Connection(boost::asio::io_context& io, std::shared_ptr<Connection> connection, bool wipe,
               std::chrono::milliseconds quiet);
  void start();

  // Until the server has said how many requests it takes at once; before that there is room for one.
  boost::asio::awaitable<void> greeted(std::chrono::milliseconds patience);
  // Null: no more requests on this connection.
  std::shared_ptr<H2Stream> open(const http::H2Session::Pseudo& pseudo, const lane::Headers& headers,
                                 std::string_view secret, bool body);
  bool usable() const { return !over_ && !retired_ && session_.may_request(); }
  bool has_room() const;  // … for one more now
  // No more requests; closes once the last has its answer.
  void retire();
  bool idle_since(Connection::Clock::time_point when) const { return streams_.empty() && idle_since_ < when; }

  const std::string& key() const { return connection_->key; }
  const std::string& address() const { return connection_->address; }
  const std::string& proxy() const { return connection_->proxy; }
  const char* tls_version() const { return connection_->tls_version(); }
  std::uint64_t requests() const { return requests_; }

 private:
  friend class H2Stream;
  boost::asio::awaitable<void> read();
  boost::asio::awaitable<void> write();
  void wake() { write_signal_.cancel(); }
  void lost(const std::string& why);
  void forget(std::int32_t id);
  H2Stream* find(std::int32_t id);

  void on_block(std::int32_t id, http::H2Block block, bool ended) override;
  void on_data(std::int32_t id, std::string_view bytes) override;
  void on_end(std::int32_t id) override;
  void on_closed(std::int32_t id, std::uint32_t code) override;
  void on_malformed(std::int32_t id, std::string why) override;
  http::H2Supply on_read(std::int32_t id, std::span<char> into) override;
  void on_sent_end(std::int32_t) override {}
  void on_goaway(std::int32_t last) override;

  boost::asio::io_context& io_;
  const std::shared_ptr<Connection> connection_;
  const bool wipe_;
  const std::chrono::milliseconds quiet_;
  http::H2Session session_;
  std::map<std::int32_t, std::shared_ptr<H2Stream>> streams_;
  boost::asio::steady_timer write_signal_, heard_signal_;
  Connection::Clock::time_point idle_since_;
  std::uint64_t requests_ = 0;
  bool heard_ = false;    // the server has said something, its SETTINGS first
  bool retired_ = false;  // takes no more requests
  bool over_ = false;
};

}  // namespace bulkhead::egress
