// One allowed request: its body up to egress, the answer down to the client, both at once. Whoever
// notices first that the other side has gone ends both. An answer that can't be finished is cut off
// where the client sees it.
#pragma once

#include <memory>
#include <string>

#include "gateway/front/egress_lane.h"
#include "gateway/front/input.h"
#include "gateway/front/judge.h"
#include "gateway/front/shared.h"
#include "gateway/front/stream.h"
#include "gateway/front/websocket.h"
#include "gateway/http/http.h"

namespace bulkhead::front {

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // All references outlive it; `owner` keeps them alive while the kernel still owes an answer.
  Exchange(Shared& shared, std::shared_ptr<void> owner, Stream& stream, Input& input, http::RequestReader& reader,
           lane::Request request, std::optional<std::uint64_t> max_body);

  // False: the connection ends here.
  Task<bool> run(LanePool& pool);

  // Ends it: its grant is gone. Before the answer has begun the client is told; after that it is cut off.
  void cut(Gone why);

  std::uint16_t status() const { return status_; }  // 0: the client got no answer
  std::uint64_t up() const { return websocket_ ? websocket_->up() : up_; }
  std::uint64_t down() const { return websocket_ ? websocket_->down() : down_; }
  std::optional<Moved::Messages> messages() const;         // of what became a WebSocket
  const std::string& failure() const { return failure_; }  // evidence's word for what went wrong, or empty
  const std::string& denial() const { return denial_; }    // what was not granted after all: its budget, its body

 private:
  Task<bool> send_head();
  Task<bool> lane_lost();
  void watch_for_hangup();
  Task<void> upload();
  Task<bool> download();
  Task<void> converse(const lane::Response& response);
  void respond(const lane::Response& response, std::string& out);
  Task<bool> answer_failure(std::uint16_t status, std::string reason, std::string text);
  bool append_body(std::string_view bytes, std::string& out);
  bool finish_body(std::string& out) const;
  void end_upload(std::string why, std::uint16_t status, std::string text);

  Shared& shared_;
  std::shared_ptr<void> owner_;
  Stream& stream_;
  Input& input_;
  http::RequestReader& reader_;
  lane::Request request_;
  std::optional<std::uint64_t> max_body_;
  std::unique_ptr<EgressLane> lane_;
  std::shared_ptr<WebSocket> websocket_;  // once the server has agreed
  Timer upload_ended_;
  bool uploading_ = false, uploaded_ = false;
  bool begun_ = false, complete_ = false;  // the answer
  bool failed_ = false;                    // the answer is a failure frame
  bool trailers_ = false;                  // came: nothing but the end may follow
  bool head_request_ = false, keep_alive_ = true;
  lane::BodyKind down_kind_ = lane::BodyKind::none;
  std::uint64_t down_length_ = 0;
  std::uint16_t status_ = 0;
  std::uint64_t up_ = 0, down_ = 0;
  std::string failure_, denial_;
  // What the upload found wrong, for download() to answer.
  std::uint16_t upload_status_ = 0;
  std::string upload_reason_, upload_text_;
};

}  // namespace bulkhead::front
