// The part of LaneSession that takes a request's body up: held and judged whole, or streamed.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "gateway/egress/lane_exchange.h"
#include "gateway/egress/limits.h"
#include "gateway/grant/git_push.h"
#include "gateway/grant/json_body.h"
#include "policy/digest.h"

namespace bulkhead::egress {

// Counts body bytes that came. False: x.refused says why they are too many.
bool LaneSession::fits(Exchange& x, std::size_t bytes) {
  const auto& most = x.permit.rule->max_body;
  if (most && x.up > *most) {
    x.refused = {413, "body", "the body is larger than the " + std::to_string(*most) + " bytes the rule allows"};
  } else {
    x.refused = context_.permits.count_up(x.permit, bytes);
  }
  return !x.refused;
}

// One more frame into x.held; at the end of the body x.whole. False: the lane broke the protocol. Otherwise x.refused
// may say why no more is taken.
asio::awaitable<bool> LaneSession::hold_more(Exchange& x) {
  const bool announced = x.request.body == lane::BodyKind::length;
  const auto frame = co_await frames_.next();
  if (!frame) co_return false;
  if (frame->kind == lane::Kind::end) {
    x.whole = true;
    co_return !announced || x.up == x.request.body_length;
  }
  if (frame->kind != lane::Kind::body) co_return false;
  x.up += frame->payload.size();
  if (announced && x.up > x.request.body_length) co_return false;
  if (!fits(x, frame->payload.size())) co_return true;
  if (x.signature && !x.permit.rule->max_body && x.up > max_held_to_sign) {
    x.refused = {413, "body",
                 "a body that long has to come with its hash (X-Amz-Content-Sha256), or the rule with a max_body"};
    co_return true;
  }
  if (context_.held + frame->payload.size() > max_held) {
    x.refused = too_much_held();
    co_return true;
  }
  x.held->add(frame->payload);
  co_return true;
}

// Reads the beginning of a push and judges it. What is behind it streams, so that a large one needs no memory.
asio::awaitable<bool> LaneSession::hold_commands(Exchange& x) {
  x.held.emplace(context_);
  grant::PushJudge judge(*x.permit.rule->git);
  while (judge.state() == grant::PushJudge::State::judging) {
    const std::size_t before = x.held->bytes.size();
    if (!co_await hold_more(x)) co_return false;
    if (x.refused) co_return true;
    if (x.whole) {
      judge.finish();
    } else {
      judge.feed(std::string_view(x.held->bytes).substr(before));
    }
  }
  if (judge.state() == grant::PushJudge::State::refused) x.refused = {403, "git", judge.why()};
  if (!x.whole) co_return true;
  x.request.body = lane::BodyKind::length;
  x.request.body_length = x.up;
  co_return true;
}

// Reads the whole body and judges it. False: the lane broke the protocol. Otherwise x.refused says why it may not go
// up, x.whole whether its end was read.
asio::awaitable<bool> LaneSession::hold(Exchange& x) {
  x.held.emplace(context_);
  const bool announced = x.request.body == lane::BodyKind::length;
  if (context_.held + (announced ? x.request.body_length : 0) > max_held) {
    x.refused = too_much_held();
    co_return true;
  }
  if (announced) x.held->bytes.reserve(x.request.body_length);
  while (!x.whole) {
    if (!co_await hold_more(x)) co_return false;
    if (x.refused) co_return true;
  }
  if (x.refused) co_return true;  // cut off meanwhile
  if (x.permit.rule->json) {
    if (const auto judged = grant::judge_json(*x.permit.rule->json, x.held->bytes); !judged) {
      x.refused = {403, "json", judged.error().text};
    }
  }
  if (x.signature && !x.refused) {
    std::optional<std::string>& payload = x.signature->payload;
    const std::string hash = sha256_hex(x.held->bytes);
    if (!payload) {
      payload = hash;
      x.refused = x.signature->incoming.verify(context_.signer->slot(), hash);
    } else if (grant::sigv4::is_sha256_hex(*payload) && *payload != hash) {
      x.refused = wrong_body();
    }
  }
  x.request.body = lane::BodyKind::length;
  x.request.body_length = x.up;
  co_return true;
}

// Runs beside download(), as upload() does.
asio::awaitable<void> LaneSession::upload_held(std::string head) {
  const auto self = shared_from_this();
  Exchange& x = *current_;
  const Carrier carrier = x.carrier;
  std::string_view rest = x.held->bytes;
  // A short request is one write.
  std::string out;
  out.reserve(head.size() + transfer);
  out = head;
  wipe(head);
  out += rest.substr(0, transfer);
  rest.remove_prefix(std::min(rest.size(), transfer));
  bool written = co_await carrier.write(out);
  wipe(out);
  while (written && !rest.empty() && !x.abandoned) {
    written = co_await carrier.write(rest.substr(0, transfer));
    rest.remove_prefix(std::min(rest.size(), transfer));
  }
  if (written && rest.empty()) {
    if (carrier.stream) carrier.stream->end();
    x.sent = true;
  } else {
    x.abandoned = true;
  }
  x.uploading = false;
  x.upload_ended.cancel();
}

// Runs beside download(). Ends when front has sent the last of the request, or has gone.
asio::awaitable<void> LaneSession::upload(std::string head) {
  const auto self = shared_from_this();
  Exchange& x = *current_;  // exchange() waits for us before it lets go of it
  const Carrier carrier = x.carrier;
  const bool chunked = x.request.body == lane::BodyKind::streamed && !carrier.stream;
  const std::string_view held = x.held ? std::string_view(x.held->bytes) : std::string_view();
  std::string out;
  // Or growing would leave the credential behind.
  out.reserve(head.size() + held.size() + transfer + lane::max_body + 64);
  out = head;
  wipe(head);
  if (!held.empty()) out += chunked ? http::chunk(held) : std::string(held);
  bool ended = false, broken = false, head_in_it = true;
  if (x.signature && x.signature->payload) {
    x.signature->body.emplace(*x.signature->payload);
    if (!held.empty()) x.signature->body->add(held);
  }
  // What the upstream would take for the whole body does not go up before it is known to be the one that was signed.
  const auto other_body = [&x, &carrier] {
    if (!x.signature || !x.signature->body || x.signature->body->matches()) return false;
    x.refused = wrong_body();
    x.abandoned = true;
    carrier.abort();
    return true;
  };
  while (!ended && !broken) {
    const auto frame = co_await frames_.next();
    if (!frame || (frame->kind != lane::Kind::end && frame->kind != lane::Kind::body)) {
      broken = true;
    } else if (frame->kind == lane::Kind::end) {
      ended = true;
      // Fewer bytes than announced can't be made up for.
      broken = (!x.answered && !frames_.empty()) ||
               (x.request.body == lane::BodyKind::length && x.up != x.request.body_length);
      if (!broken && x.request.body == lane::BodyKind::streamed && !x.abandoned && !other_body() && chunked) {
        out += http::last_chunk();
      }
    } else {
      x.up += frame->payload.size();
      broken = x.request.body == lane::BodyKind::length && x.up > x.request.body_length;
      if (!broken && !x.abandoned && !fits(x, frame->payload.size())) {
        x.abandoned = true;
        carrier.abort();
      }
      if (x.signature && x.signature->body) x.signature->body->add(frame->payload);
      const bool last = x.request.body == lane::BodyKind::length && x.up == x.request.body_length;
      if (!broken && !x.abandoned && last && !frame->payload.empty()) (void)other_body();
      if (!chunked) {
        out += frame->payload;
      } else if (!frame->payload.empty()) {
        out += http::chunk(frame->payload);
      }
    }
    if (broken) break;
    if (x.abandoned) {
      if (head_in_it) wipe(out);
      head_in_it = false;
      out.clear();
      continue;
    }
    // What front sent in one go also goes up in one go.
    if (!ended && frames_.ready() && out.size() < transfer) continue;
    const bool written = co_await carrier.write(out);
    if (head_in_it) wipe(out);
    head_in_it = false;
    out.clear();
    // Not the end yet: the upstream may have said why it stopped reading. download() finds out.
    if (!written) x.abandoned = true;
    if (!x.abandoned && x.request.body == lane::BodyKind::length && x.up == x.request.body_length) x.sent = true;
  }
  if (head_in_it) wipe(out);
  if (broken) {
    hung_up();
  } else if (!x.abandoned) {
    if (carrier.stream) carrier.stream->end();
    x.sent = true;
  }
  if (!broken && !x.answered) watch_for_hangup();
  x.uploading = false;
  x.upload_ended.cancel();
}

}  // namespace bulkhead::egress
