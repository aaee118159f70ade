// One stream of an HTTP/2 connection: a request from its head to the last of its answer. Judged, recorded and denied as
// an HTTP/1 request is (judge.h); its body up to egress and the answer down, both at once. What the client doesn't take
// stays with egress, and what egress doesn't take stays with the client: windows open as bytes move on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gateway/front/egress_lane.h"
#include "gateway/front/held.h"
#include "gateway/front/judge.h"
#include "gateway/front/signal.h"
#include "gateway/http/h2_session.h"

namespace bulkhead::front {

class H2Connection;

class H2Exchange : public std::enable_shared_from_this<H2Exchange> {
 public:
  // `owner` outlives it. `ended`: the request has no body.
  H2Exchange(std::shared_ptr<H2Connection> owner, std::int32_t stream, http::H2Block block, bool ended);

  ~H2Exchange();
  H2Exchange(const H2Exchange&) = delete;
  H2Exchange& operator=(const H2Exchange&) = delete;

  // Until the client has the whole answer, or nobody wants it any more.
  Task<void> run();

  // Ends it: its grant is gone. Before the answer has begun the client is told; after that the stream is reset.
  void withdraw(Gone why);

  // What the session says of this stream; from within its calls.
  void on_trailers();
  void on_data(std::string_view bytes);
  void on_end();
  void on_closed(std::uint32_t code);
  void on_sent_end();
  http::H2Supply on_read(std::span<char> into);

 private:
  Task<void> serve();
  Task<void> ask(Judged& judged, Held& held);
  Task<void> pass(Judged& judged);
  Task<void> upload();
  void end_upload(std::string why, std::uint16_t status, std::string text);
  void throw_away();
  Task<void> download();
  bool take(const EgressLane::Piece& piece);
  void respond(const lane::Response& response);
  void fail(std::uint16_t status, std::string reason, const std::string& text);
  void answer(std::uint16_t status, bool denied, const std::string& text, const std::string& add);
  void append(std::string_view bytes);
  void cut(http::H2Code code);
  Task<void> sent();
  Task<void> settle();
  std::size_t waiting() const { return out_.size() - out_begin_; }

  const std::shared_ptr<H2Connection> owner_;
  Shared& shared_;
  const std::int32_t stream_;
  const Clock::time_point began_;
  http::H2Block block_;
  const bool bodiless_;  // the head was all of the request
  http::RequestHead head_;

  // The request's body: what came and is not with egress yet.
  Signal in_signal_;
  std::string in_;
  bool in_ended_, in_refused_ = false;  // refused: what comes is thrown away
  bool uploading_ = false, uploaded_ = false;
  std::optional<std::uint64_t> max_body_;

  // The answer: what came and is not with the client yet.
  Signal out_signal_;
  std::string out_;
  std::size_t out_begin_ = 0;
  bool out_ended_ = false, sent_end_ = false;
  lane::Headers trailers_;

  bool closed_ = false;   // the stream is gone
  Held* held_ = nullptr;  // while somebody is asked
  bool cut_ = false;      // … by our own hand
  bool patient_ = false;  // a conversation: silence of the client's is no fault
  std::unique_ptr<EgressLane> lane_;
  bool begun_ = false, complete_ = false, failed_ = false, dropped_ = false;
  lane::BodyKind down_kind_ = lane::BodyKind::none;
  std::uint64_t down_length_ = 0;
  Moved moved_;
  std::string failure_, denial_;
  std::uint16_t upload_status_ = 0;
  std::string upload_reason_, upload_text_;
};

}  // namespace bulkhead::front
