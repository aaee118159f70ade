// One lane from front: exchanges one after another, until front closes it or breaks the protocol.
//
// In an exchange up to two things go on at once: the upload (lane -> upstream) in a coroutine of its own when there
// is a body, and the download (upstream -> lane). Whoever notices first that front has gone ends both.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "gateway/egress/context.h"
#include "gateway/egress/frames.h"
#include "gateway/http/http.h"

namespace bulkhead::egress {

class LaneSession : public std::enable_shared_from_this<LaneSession> {
 public:
  LaneSession(std::shared_ptr<Context> context, Frames::Socket socket);
  ~LaneSession();

  boost::asio::awaitable<void> run();

 private:
  struct Exchange;  // lane_exchange.h
  struct Held;
  struct Signature;
  enum class Outcome {
    done,              // the answer is with front, whole
    retry,             // a kept connection was dead; nothing of the request was seen by anybody
    failed,            // Exchange::failure says why; front has seen nothing of an answer
    became_websocket,  // Exchange::websocket is to run
    broken,            // front has half an answer, or is gone: only closing the lane is honest
  };

  boost::asio::awaitable<bool> exchange(lane::Request request);  // false: the lane ends here
  boost::asio::awaitable<Outcome> attempt(Exchange& x, bool fresh);
  boost::asio::awaitable<std::optional<lane::Failure>> reach(Exchange& x, bool fresh);
  boost::asio::awaitable<Outcome> download(Exchange& x, bool may_retry);
  boost::asio::awaitable<Outcome> download_h2(Exchange& x, bool may_retry);
  bool open_h2(Exchange& x);
  bool pass_body(Exchange& x, Scrubber& scrubber, std::string_view body, std::string& out);
  bool end_body(Exchange& x, Scrubber& scrubber, const http::ResponseHead& head, std::string& out);
  Outcome switched(Exchange& x, const http::ResponseHead& head, std::string_view early, std::string& out);
  bool record_answer(Exchange& x);
  boost::asio::awaitable<void> upload(std::string head);
  boost::asio::awaitable<bool> hold(Exchange& x);
  boost::asio::awaitable<bool> hold_commands(Exchange& x);
  boost::asio::awaitable<bool> hold_more(Exchange& x);
  boost::asio::awaitable<void> upload_held(std::string head);
  bool fits(Exchange& x, std::size_t bytes);
  boost::asio::awaitable<bool> drain(const lane::Request& request, bool answered);
  boost::asio::awaitable<bool> fail_with(const lane::Request& request, const lane::Failure& failure);
  boost::asio::awaitable<bool> send(std::string_view bytes);
  void record_failure(const Exchange& x, const std::string& reason, const std::string& text);
  void watch_for_hangup();
  void hung_up();
  void cut(Gone why);
  Outcome fail(Exchange& x, lane::Failure failure);
  static Outcome unfinished(const Exchange& x);       // how an answer ends that broke off
  const Patterns& patterns(const Exchange& x) const;  // what is to be taken out of the answer
  lane::Headers request_headers(const Exchange& x) const;
  std::string request_head(const Exchange& x) const;
  bool begin_response(Exchange& x, const http::ResponseHead& head, std::string& out);
  bool pass_on(Exchange& x, std::string_view bytes, std::string& out);
  bool release(Exchange& x, const http::ResponseHead& head, std::string& out);
  bool names_nothing(Exchange& x) const;
  bool follow(Exchange& x);
  boost::asio::awaitable<void> begin_refresh(Exchange& x);
  bool renew(Exchange& x, std::uint16_t status, std::string_view body, std::string& out);
  bool record_issued(const Exchange& x, const std::vector<std::uint32_t>& issued);

  const std::shared_ptr<Context> owner_;  // a lane may outlive the rest: the event loop goes last
  Context& context_;
  Frames::Socket socket_;
  Frames frames_;
  std::unique_ptr<Exchange> current_;
  std::size_t sends_ = 0;
  std::uint64_t number_ = 0;  // which exchange a late hang-up notice belongs to
};

}  // namespace bulkhead::egress
