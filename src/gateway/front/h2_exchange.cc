#include "gateway/front/h2_exchange.h"

#include <algorithm>

#include "gateway/front/answer.h"
#include "gateway/front/h2_connection.h"
#include "gateway/http/h2_rules.h"

namespace bulkhead::front {
namespace {

constexpr std::size_t write_at_once = 64 * 1024;

}  // namespace

H2Exchange::H2Exchange(std::shared_ptr<H2Connection> owner, std::int32_t stream, http::H2Block block, bool ended)
    : owner_(std::move(owner)),
      shared_(owner_->shared()),
      stream_(stream),
      began_(Clock::now()),
      block_(std::move(block)),
      bodiless_(ended),
      in_signal_(shared_.io),
      in_ended_(ended),
      out_signal_(shared_.io) {}

H2Exchange::~H2Exchange() {
  shared_.h2_held -= in_.size();
}

Task<void> H2Exchange::run() {
  const auto self = shared_from_this();
  const http::Limits& limits = shared_.limits.http;
  auto head = block_.too_large
                  ? tl::expected<http::RequestHead, http::Refusal>(tl::unexpected(http::Refusal{
                        431, "head-size",
                        "more than " + std::to_string(limits.headers) + " header fields, or a head larger than " +
                            std::to_string(limits.head) + " bytes"}))
                  : http::h2_request_head(std::move(block_.fields), bodiless_, owner_->arrival().scheme, limits);
  if (head) {
    head_ = std::move(*head);
    co_await serve();
  } else if (record_malformed(shared_, owner_->arrival(), head.error())) {
    answer(head.error().status, true, head.error().text, "");
    co_await settle();
  }
  owner_->done(stream_);
}

Task<void> H2Exchange::serve() {
  Judged judged = judge(shared_, owner_->arrival(), head_);
  grant::Decision& decision = judged.decision;
  const auto record = [&] { return record_request(shared_, owner_->arrival(), head_, decision, moved_, began_); };
  Held held(shared_, owner_->arrival(), head_, decision);
  if (held) co_await ask(judged, held);
  if (decision.verdict != grant::Verdict::allow) {
    moved_.status = decision.status;
    if (!record()) co_return;
    tell_denied(shared_, owner_->arrival(), head_, decision.reason, decision.text, decision.add);
    answer(decision.status, true, decision.text, decision.add);
    co_await settle();
    co_return;
  }
  {
    // The session may end before it does.
    const UnderWay::Entry entry(shared_.under_way, [&] {
      decision.reason = "ended";
      (void)record();
    });
    const Live::Entry live(shared_.live, *decision.grant, decision.rule, [this](Gone why) { withdraw(why); });
    co_await pass(judged);
    co_await sent();
  }
  if (closed_ && !sent_end_ && failure_.empty()) failure_ = "client-gone";
  if (!failure_.empty()) decision.reason = failure_;
  if (!denial_.empty()) {
    decision.verdict = grant::Verdict::deny;
    tell_denied(shared_, owner_->arrival(), head_, decision.reason, denial_, "");
  }
  if (record()) co_await settle();
}

// Denied for want of a grant: waits for the person's word, then judges again.
Task<void> H2Exchange::ask(Judged& judged, Held& held) {
  // The session may end before anybody answers.
  const UnderWay::Entry entry(shared_.under_way, [&] {
    judged.decision.reason = "ended";
    (void)record_request(shared_, owner_->arrival(), head_, judged.decision, moved_, began_);
  });
  held_ = &held;
  if (closed_) held.leave();
  const bool again = co_await held.wait();
  held_ = nullptr;
  if (again && !closed_) judged = judge(shared_, owner_->arrival(), head_);
}

// Up and down; afterwards the lane is where it belongs, and the answer, if there is one, with the session.
Task<void> H2Exchange::pass(Judged& judged) {
  if (!upload_reason_.empty()) {  // what followed the head was already here
    fail(upload_status_, upload_reason_, upload_text_);
    co_return;
  }
  lane_ = judged.pool->take();
  if (!lane_) {
    fail(503, "lanes", "too many requests at once, or the gateway is ending");
    co_return;
  }
  max_body_ = judged.decision.rule->max_body;
  patient_ = judged.decision.grant->protocol == Protocol::grpc;
  const lane::Request& request = judged.up;
  std::string head = lane::encode(request);
  if (request.body == lane::BodyKind::none) head += lane::encode_end();
  uploaded_ = request.body == lane::BodyKind::none;
  if (!co_await lane_->send(head)) {
    if (!closed_) fail(502, "egress", "the gateway is ending");
  } else {
    if (!uploaded_) {
      if (head_.expect_continue && !in_ended_ && in_.empty() && !closed_) {
        owner_->session().interim(stream_, 100);
        owner_->wake();
      }
      uploading_ = true;
      asio::co_spawn(
          shared_.io, [self = shared_from_this()]() -> Task<void> { co_await self->upload(); }, asio::detached);
    }
    co_await download();
  }
  if (uploading_) {
    // Answered, or failed, before the request was up: the rest of it has no reader.
    lane_->abandon();
    throw_away();
    in_signal_.notify();
  }
  while (uploading_) (void)co_await out_signal_.wait();
  if (complete_ && uploaded_ && !lane_->broken()) {
    judged.pool->give_back(std::move(lane_));
  } else {
    judged.pool->drop(std::move(lane_));
  }
}

// ---- up

void H2Exchange::end_upload(std::string why, std::uint16_t status, std::string text) {
  upload_reason_ = std::move(why);
  upload_status_ = status;
  upload_text_ = std::move(text);
  throw_away();
  if (lane_) lane_->abandon();
  in_signal_.notify();
}

void H2Exchange::withdraw(Gone why) {
  if (complete_ || failed_ || closed_ || cut_) return;
  end_upload(name_of(why), 403, text_of(why));
  out_signal_.notify();
}

void H2Exchange::throw_away() {
  in_refused_ = true;
  owner_->took(stream_, std::exchange(in_, {}).size());
}

Task<void> H2Exchange::upload() {
  const auto self = shared_from_this();
  const bool announced = head_.body == lane::BodyKind::length;
  while (!in_refused_ && !closed_) {
    if (in_.empty() && !in_ended_) {
      const auto patience = patient_ ? std::nullopt : std::optional(shared_.limits.body);
      if (!co_await in_signal_.wait(patience) && in_.empty() && !in_ended_) {
        end_upload("client-gone", 408, "the request's body did not come");
      }
      continue;
    }
    const std::string bytes = std::exchange(in_, {});
    const bool last = in_ended_;
    moved_.up += bytes.size();
    std::string out;
    if (max_body_ && moved_.up > *max_body_) {
      end_upload("body", 413, "the body is larger than the " + std::to_string(*max_body_) + " bytes the rule allows");
    } else if (announced && (moved_.up > head_.body_length || (last && moved_.up != head_.body_length))) {
      end_upload("content-length", 400, "the body is not as long as Content-Length says");
    } else {
      lane::append_body(out, bytes);
      if (last) out += lane::encode_end();
    }
    const bool passed = out.empty() || co_await lane_->send(out);  // if not, download() finds out why
    owner_->took(stream_, bytes.size());
    if (in_refused_ || !passed) break;
    if (last) {
      uploaded_ = true;
      break;
    }
  }
  uploading_ = false;
  out_signal_.notify();
}

void H2Exchange::on_data(std::string_view bytes) {
  if (in_refused_ || closed_ || cut_) return owner_->took(stream_, bytes.size());
  in_ += bytes;
  if (!owner_->may_hold(0)) {
    end_upload("memory", 503, "too many bodies wait to go up; ask again");
    return;
  }
  in_signal_.notify();
}

void H2Exchange::on_end() {
  in_ended_ = true;
  in_signal_.notify();
  out_signal_.notify();
}

// As in HTTP/1 (http/scan.cc): no request that is granted here has trailers, and no rule would judge them.
void H2Exchange::on_trailers() {
  in_ended_ = true;
  end_upload("trailer", 400, "trailer fields after the body are not accepted");
  out_signal_.notify();
}

void H2Exchange::on_closed(std::uint32_t) {
  closed_ = true;
  throw_away();
  if (lane_ && !complete_) lane_->abandon();
  if (held_ != nullptr) held_->leave();
  in_signal_.notify();
  out_signal_.notify();
}

// ---- down

Task<void> H2Exchange::download() {
  for (;;) {
    bool more = false;  // is here already
    while (const auto piece = lane_->next()) {
      if (!take(*piece)) {
        fail(502, "egress", "the gateway is broken");
        co_return;
      }
      if (complete_ || failed_) co_return;
      if (dropped_) {
        failure_ = "truncated";
        while (waiting() > 0 && !closed_ && co_await out_signal_.wait(shared_.limits.write)) {
        }
        cut(http::H2Code::no_error);
        co_return;
      }
      more = waiting() >= write_at_once;
      if (more) break;
    }
    if (lane_->broken()) {
      fail(502, "egress", "the gateway is broken");
      co_return;
    }
    // Given to the session before more is waited for: a model's words appear as they come.
    while (waiting() >= write_at_once && !closed_ && upload_reason_.empty()) {
      if (!co_await out_signal_.wait(shared_.limits.write) && waiting() >= write_at_once && !closed_) {
        failure_ = "client-gone";
        cut(http::H2Code::cancel);
        co_return;
      }
    }
    if (closed_) {
      failure_ = "client-gone";
      co_return;
    }
    if (!more && !co_await lane_->fill()) {
      if (closed_) {
        failure_ = "client-gone";
      } else if (!upload_reason_.empty()) {
        fail(upload_status_, upload_reason_, upload_text_);
      } else {
        fail(502, "cut", "the upstream connection was lost");
      }
      co_return;
    }
  }
}

// False: egress broke the protocol.
bool H2Exchange::take(const EgressLane::Piece& piece) {
  if (!begun_) {
    if (piece.kind == lane::Kind::failure) {
      const auto failure = lane::decode_failure(piece.bytes);
      if (!failure) return false;
      // The lane is not used again: egress may say so before it has read the request to its end.
      failed_ = true;
      fail(failure->status, failure->reason, failure->text);
      return true;
    }
    if (piece.kind != lane::Kind::response) return false;
    const auto response = lane::decode_response(piece.bytes);
    if (response) respond(*response);
    return response.has_value();
  }
  if (out_ended_) return false;
  if (piece.kind == lane::Kind::trailers) {
    auto trailers = lane::decode_trailers(piece.bytes);
    if (!trailers || down_kind_ == lane::BodyKind::none || !trailers_.empty()) return false;
    trailers_ = std::move(*trailers);
    return true;
  }
  if (piece.kind == lane::Kind::body) {
    if (!trailers_.empty()) return false;
    moved_.down += piece.bytes.size();
    if (down_kind_ == lane::BodyKind::none) return false;
    if (down_kind_ == lane::BodyKind::length && moved_.down > down_length_) return false;
    append(piece.bytes);
    return true;
  }
  if (piece.kind == lane::Kind::dropped) {
    // Handed on as the client would have got it from the server, which leaves it to the client what to make of it.
    dropped_ = true;
    return true;
  }
  if (piece.kind != lane::Kind::end) return false;
  if (down_kind_ == lane::BodyKind::length && moved_.down != down_length_) return false;
  complete_ = out_ended_ = true;
  append({});
  return true;
}

void H2Exchange::respond(const lane::Response& response) {
  begun_ = true;
  moved_.status = response.status;
  down_kind_ = response.body;
  down_length_ = response.body_length;
  lane::Headers headers = response.headers;
  if (down_kind_ == lane::BodyKind::length || down_length_ > 0) {
    headers.emplace_back("content-length", std::to_string(down_length_));
  }
  (void)owner_->session().respond(stream_, response.status, headers, down_kind_ != lane::BodyKind::none);
  owner_->wake();
}

void H2Exchange::append(std::string_view bytes) {
  if (out_begin_ == out_.size()) {
    out_.clear();
    out_begin_ = 0;
  }
  out_ += bytes;
  owner_->session().resume(stream_);
  owner_->wake();
}

http::H2Supply H2Exchange::on_read(std::span<char> into) {
  const std::size_t n = std::min(into.size(), waiting());
  std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(out_begin_), n, into.begin());
  out_begin_ += n;
  if (n > 0) out_signal_.notify();
  const bool empty = waiting() == 0;
  return {.bytes = n, .wait = empty && !out_ended_, .end = empty && out_ended_, .trailers = &trailers_};
}

void H2Exchange::on_sent_end() {
  sent_end_ = true;
  out_signal_.notify();
}

// ---- answers of our own

void H2Exchange::fail(std::uint16_t status, std::string reason, const std::string& text) {
  failure_ = std::move(reason);
  if (begun_) return cut(http::H2Code::internal_error);  // half an answer: a cut is the honest end
  moved_.status = status;
  const bool denied = is_denial(status);
  if (denied) denial_ = text;
  answer(status, denied, text, "");
}

void H2Exchange::answer(std::uint16_t status, bool denied, const std::string& text, const std::string& add) {
  begun_ = out_ended_ = true;
  const Answer answer{denied ? Kind::denied : Kind::failed, status, text, add};
  Page page = is_grpc(head_.headers) ? grpc_page_of(answer) : page_of(answer, head_.headers);
  if (!page.body.empty()) page.headers.emplace_back("content-length", std::to_string(page.body.size()));
  if (head_.method == "HEAD") page.body.clear();
  const bool body = !page.body.empty();
  out_ = std::move(page.body);
  out_begin_ = 0;
  (void)owner_->session().respond(stream_, page.status, page.headers, body);
  owner_->wake();
}

void H2Exchange::cut(http::H2Code code) {
  cut_ = true;
  throw_away();
  owner_->session().reset(stream_, code);
  owner_->wake();
}

// Until the client has been sent the last of the answer.
Task<void> H2Exchange::sent() {
  while (!sent_end_ && !closed_ && !cut_) {
    const std::size_t before = waiting();
    if (!co_await out_signal_.wait(shared_.limits.write) && waiting() == before && !sent_end_) {
      cut(http::H2Code::cancel);
    }
  }
}

// A request that is answered before it was up: what is left of it is taken for a moment, so that clients that send
// before they read find the answer; then the stream ends (RFC 9113 §8.1).
Task<void> H2Exchange::settle() {
  throw_away();
  co_await sent();
  const auto until = Clock::now() + shared_.limits.linger;
  while (!in_ended_ && !closed_ && !cut_ && Clock::now() < until) {
    (void)co_await out_signal_.wait(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()));
  }
  if (!in_ended_ && !closed_ && !cut_) cut(http::H2Code::no_error);
}

}  // namespace bulkhead::front
