#include "gateway/front/exchange.h"

#include <algorithm>

#include "gateway/front/answer.h"
#include "gateway/websocket/handshake.h"
#include "policy/policy.h"

namespace bulkhead::front {
namespace {

constexpr std::size_t write_at_once = 64 * 1024;

}  // namespace

Exchange::Exchange(Shared& shared, std::shared_ptr<void> owner, Stream& stream, Input& input,
                   http::RequestReader& reader, lane::Request request, std::optional<std::uint64_t> max_body)
    : shared_(shared),
      owner_(std::move(owner)),
      stream_(stream),
      input_(input),
      reader_(reader),
      request_(std::move(request)),
      max_body_(max_body),
      upload_ended_(shared.io, Clock::time_point::max()),
      head_request_(request_.method == "HEAD"),
      keep_alive_(reader.head().keep_alive) {}

Task<bool> Exchange::run(LanePool& pool) {
  lane_ = pool.take();
  if (!lane_) {
    const bool keep = request_.body == lane::BodyKind::none && keep_alive_;
    keep_alive_ = keep;
    co_return co_await answer_failure(503, "lanes", "too many requests at once, or the gateway is ending") && keep;
  }
  if (!co_await send_head()) {
    pool.drop(std::move(lane_));
    co_return false;
  }
  bool keep = co_await download();
  if (uploading_) {
    // Answered, or failed, before the request was up: the rest of it has no reader.
    stream_.stop_reading();
    lane_->abandon();
    keep = false;
  }
  while (uploading_) co_await upload_ended_.async_wait(no_throw);
  stream_.unwatch();
  if (complete_ && !failed_ && uploaded_ && !lane_->broken()) {
    pool.give_back(std::move(lane_));
  } else {
    pool.drop(std::move(lane_));
    if (!complete_) keep = false;
  }
  co_return keep;
}

Task<bool> Exchange::send_head() {
  std::string head = lane::encode(request_);
  if (request_.body == lane::BodyKind::none) {
    head += lane::encode_end();
    uploaded_ = true;
    if (!co_await lane_->send(head)) co_return co_await lane_lost();
    lane_->expect_answer();
    watch_for_hangup();
    co_return true;
  }
  if (!co_await lane_->send(head)) co_return co_await lane_lost();
  if (reader_.head().expect_continue &&
      !co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n", shared_.limits.write)) {
    failure_ = "client-gone";
    co_return false;
  }
  uploading_ = true;
  asio::co_spawn(shared_.io, [self = shared_from_this()]() -> Task<void> { co_await self->upload(); }, asio::detached);
  co_return true;
}

// Nobody reads from the client until the answer is there; a client that hangs up is noticed all the
// same.
void Exchange::watch_for_hangup() {
  stream_.watch(owner_, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self && self->lane_) self->lane_->abandon();
  });
}

// The one answer to this request: the connection ends with it, so that nothing can follow as a
// second one.
Task<bool> Exchange::lane_lost() {
  keep_alive_ = false;
  if (upload_status_ != 0) {
    (void)co_await answer_failure(upload_status_, upload_reason_, upload_text_);
  } else {
    (void)co_await answer_failure(502, "egress", "the gateway is ending");
  }
  co_return false;
}

void Exchange::end_upload(std::string why, std::uint16_t status, std::string text) {
  if (!upload_reason_.empty()) return;  // the first reason is the one that counts
  upload_reason_ = std::move(why);
  upload_status_ = status;
  upload_text_ = std::move(text);
  lane_->abandon();
}

void Exchange::cut(Gone why) {
  if (complete_ || !lane_) return;
  if (websocket_) return websocket_->cut(why);
  end_upload(name_of(why), 403, text_of(why));
  if (begun_) stream_.abandon();
}

Task<void> Exchange::upload() {
  const auto self = shared_from_this();
  std::string body, out;
  const bool much = request_.body == lane::BodyKind::streamed || request_.body_length > lane::max_body;
  if (much) stream_.expect_much(true);
  while (reader_.state() != http::State::done) {
    if (input_.empty()) {
      stream_.set_deadline(shared_.limits.body);
      const bool more = co_await input_.fill(stream_);
      stream_.clear_deadline();
      if (!more) {
        const bool slow = stream_.take_expired();
        end_upload("client-gone", slow ? 408 : 0, "the request's body did not come");
        break;
      }
    }
    const auto taken = reader_.feed(input_.view(), body);
    if (!taken) {
      end_upload(taken.error().reason, taken.error().status, taken.error().text);
      break;
    }
    input_.consume(*taken);
    up_ += body.size();
    if (max_body_ && up_ > *max_body_) {
      end_upload("body", 413, "the body is larger than the " + std::to_string(*max_body_) + " bytes the rule allows");
      break;
    }
    lane::append_body(out, body);
    body.clear();
    const bool last = reader_.state() == http::State::done;
    if (last) out += lane::encode_end();
    // What has come meanwhile goes up with it.
    if (!last && out.size() < lane::max_body && (!input_.empty() || input_.fill_now(stream_))) {
      continue;
    }
    if (!out.empty() && !co_await lane_->send(out)) break;  // download() finds out why
    out.clear();
    if (last) uploaded_ = true;
  }
  if (much) stream_.expect_much(false);
  if (uploaded_ && !complete_) watch_for_hangup();
  uploading_ = false;
  upload_ended_.cancel();
}

Task<bool> Exchange::answer_failure(std::uint16_t status, std::string reason, std::string text) {
  failure_ = std::move(reason);
  if (begun_ || status == 0) {
    stream_.abandon();  // half an answer: a cut is the honest end
    co_return false;
  }
  status_ = status;
  keep_alive_ = keep_alive_ && reader_.state() == http::State::done;
  const Kind kind = is_denial(status) ? Kind::denied : Kind::failed;
  if (kind == Kind::denied) denial_ = text;
  const std::string answer =
      serialise({kind, status, std::move(text), ""}, request_.headers, keep_alive_, head_request_);
  if (!co_await stream_.write(answer, shared_.limits.write)) co_return false;
  co_return keep_alive_;
}

void Exchange::respond(const lane::Response& response, std::string& out) {
  begun_ = true;
  status_ = response.status;
  down_kind_ = response.body;
  down_length_ = response.body_length;
  // An early answer: what is left of the request would be read as the next one.
  if (!uploaded_) keep_alive_ = false;
  out += http::serialise_response(response.status, response.headers, response.body, response.body_length, keep_alive_,
                                  head_request_);
}

bool Exchange::append_body(std::string_view bytes, std::string& out) {
  down_ += bytes.size();
  if (down_kind_ == lane::BodyKind::none) return false;
  if (down_kind_ == lane::BodyKind::length) {
    if (down_ > down_length_) return false;
    out += bytes;
  } else {
    out += http::chunk(bytes);
  }
  return true;
}

bool Exchange::finish_body(std::string& out) const {
  if (down_kind_ == lane::BodyKind::length && down_ != down_length_) return false;
  if (down_kind_ == lane::BodyKind::streamed) out += http::last_chunk();
  return true;
}

std::optional<Moved::Messages> Exchange::messages() const {
  if (!websocket_) return std::nullopt;
  return Moved::Messages{websocket_->messages_up(), websocket_->messages_down()};
}

// The server has agreed. The client gets an answer of our own, then both speak until one of them closes.
Task<void> Exchange::converse(const lane::Response& response) {
  const lane::Headers& asked = reader_.head().headers;
  const auto key = websocket::only(asked, "sec-websocket-key");
  const std::vector<std::string> offered = websocket::offered_protocols(request_.headers);
  const std::string protocol = response.headers.empty() ? "" : response.headers.front().second;
  if (!key || (!protocol.empty() && std::find(offered.begin(), offered.end(), protocol) == offered.end())) {
    (void)co_await answer_failure(502, "egress", "the gateway is broken");
    co_return;
  }
  stream_.unwatch();
  begun_ = true;
  status_ = 101;
  websocket_ = std::make_shared<WebSocket>(shared_, stream_, input_, *lane_);
  if (!co_await stream_.write(http::serialise_switch(websocket::accept_of(*key), protocol), shared_.limits.write)) {
    failure_ = "client-gone";
    co_return;
  }
  co_await websocket_->run();
  failure_ = websocket_->reason();
  denial_ = websocket_->denial();
}

Task<bool> Exchange::download() {
  std::string out;
  for (;;) {
    while (const auto piece = lane_->next()) {
      if (piece->kind == lane::Kind::failure && !begun_) {
        auto failure = lane::decode_failure(piece->bytes);
        if (!failure) co_return co_await answer_failure(502, "egress", "the gateway is broken");
        // The lane is not used again: egress may say so before it has read the request to its end.
        complete_ = failed_ = true;
        co_return co_await answer_failure(failure->status, failure->reason, failure->text);
      }
      if (piece->kind == lane::Kind::response && !begun_) {
        const auto response = lane::decode_response(piece->bytes);
        const bool switches = response && response->status == 101;
        if (!response || (switches && !is_websocket(request_.scheme))) {
          co_return co_await answer_failure(502, "egress", "the gateway is broken");
        }
        if (switches) {
          co_await converse(*response);
          co_return false;
        }
        respond(*response, out);
        continue;
      }
      bool good = begun_ && (!trailers_ || piece->kind == lane::Kind::end);
      if (good && piece->kind == lane::Kind::trailers) {  // which HTTP/1 clients don't expect
        trailers_ = good = down_kind_ != lane::BodyKind::none && lane::decode_trailers(piece->bytes);
        if (good) continue;
      }
      if (begun_ && piece->kind == lane::Kind::dropped) {
        // HTTP/1 has no way to end an answer without saying that it is whole, but a cut.
        if (!out.empty()) (void)co_await stream_.write(out, shared_.limits.write);
        co_return co_await answer_failure(0, "truncated", "");
      }
      if (good && piece->kind == lane::Kind::body) good = append_body(piece->bytes, out);
      if (good && piece->kind == lane::Kind::end) {
        good = finish_body(out);
        complete_ = good;
      }
      if (!good || (piece->kind != lane::Kind::body && piece->kind != lane::Kind::end)) {
        co_return co_await answer_failure(502, "egress", "the gateway is broken");
      }
      if (complete_) {
        if (!co_await stream_.write(out, shared_.limits.write)) {
          failure_ = "client-gone";
          co_return false;
        }
        co_return keep_alive_;
      }
      if (out.size() >= write_at_once) break;
    }
    if (lane_->broken()) co_return co_await answer_failure(502, "egress", "the gateway is broken");
    if (!out.empty()) {
      // Written before waiting for more: a model's words appear as they come.
      if (!co_await stream_.write(out, shared_.limits.write)) {
        failure_ = upload_reason_.empty() ? "client-gone" : upload_reason_;
        lane_->abandon();
        co_return false;
      }
      out.clear();
      continue;
    }
    if (!co_await lane_->fill()) {
      if (upload_status_ != 0) co_return co_await answer_failure(upload_status_, upload_reason_, upload_text_);
      if (!upload_reason_.empty()) co_return co_await answer_failure(0, upload_reason_, "");
      // Abandoned because the client left, or the egress is gone.
      co_return co_await answer_failure(begun_ ? 0 : 502, "cut", "the upstream connection was lost");
    }
  }
}

}  // namespace bulkhead::front
