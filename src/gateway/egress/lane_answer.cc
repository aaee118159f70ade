// The part of LaneSession that takes an answer down, whatever protocol it came by: judged, counted, scrubbed, recorded.
#include "gateway/egress/lane_exchange.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/response.h"

namespace bulkhead::egress {

// The head of the answer, for front. False: x.failure says why not, or x.redirect where there is one.
bool LaneSession::begin_response(Exchange& x, const http::ResponseHead& head, std::string& out) {
  x.status = head.status;
  if (!x.followed) x.redirect = redirect_to_follow(*x.permit.grant, x.request, head);
  if (x.redirect) return false;
  const bool reads = context_.reads_answers() || !patterns(x).empty();
  if (reads && head.body != lane::BodyKind::none && encoded(head.headers)) {
    x.failure = {502, "encoding",
                 "the server encoded its answer, though asked not to: a credential in it would go unseen"};
    return false;
  }
  if (!x.sent && head.status >= 400) {
    // Refused before it was up. What is left of the request is not sent, and the connection is not used again: whether
    // the upstream takes the rest for a new request is not ours to find out. Any other early answer may be one that
    // goes on as the request does.
    x.abandoned = true;
    x.carrier.stop_writing();
  }
  if (x.turn) {  // whatever it is, it is kept and looked at
    x.held_answer.emplace(context_);
    return true;
  }
  if (auto failure = x.rules->head(head)) {
    x.failure = std::move(*failure);
    return false;
  }
  if (x.rules->holds() && head.body != lane::BodyKind::none) {
    x.held_answer.emplace(context_);
    return true;
  }
  out += lane::encode(lane::Response{.status = head.status,
                                     .headers = downstream_headers(head.headers, patterns(x)),
                                     .body = head.body,
                                     .body_length = head.body_length});
  return true;
}

// Body bytes, scrubbed: on to front, or kept. False: x.failure says why the answer ends here.
bool LaneSession::pass_on(Exchange& x, std::string_view bytes, std::string& out) {
  if (!x.held_answer) {
    lane::append_body(out, bytes);
    return true;
  }
  if (context_.held + bytes.size() > max_held) {
    x.failure = too_much_held();
    return false;
  }
  x.held_answer->add(bytes);
  return true;
}

// Said before the workload can use it. False: evidence is gone.
bool LaneSession::record_issued(const Exchange& x, const std::vector<std::uint32_t>& issued) {
  return std::ranges::all_of(issued, [&](std::uint32_t number) {
    return context_.record("credential.issue", {{"credential", context_.credential},
                                                {"host", x.request.host},
                                                {"port", x.request.port},
                                                {"grant", x.permit.id},
                                                {"number", number}});
  });
}

// The end of an answer that was kept. False: x.failure says why front gets something else instead.
bool LaneSession::release(Exchange& x, const http::ResponseHead& head, std::string& out) {
  std::string body = std::move(x.held_answer->bytes);
  const std::size_t counted = body.size();
  x.held_answer->bytes.clear();
  context_.held -= counted;
  if (x.turn) {
    const bool done = renew(x, head.status, body, out);
    wipe(body);
    return done;
  }
  std::vector<std::uint32_t> issued;
  if (auto failure = x.rules->finish(body, context_.issued ? &*context_.issued : nullptr, issued)) {
    wipe(body);
    x.failure = std::move(*failure);
    return false;
  }
  if (x.rules->issues()) {
    if (!record_issued(x, issued)) return false;
    if (context_.issued && !issued.empty()) context_.take_out_issued();
    patterns(x).scrub(body);  // it was kept as it came
  }
  out += lane::encode(lane::Response{.status = head.status,
                                     .headers = downstream_headers(head.headers, patterns(x)),
                                     .body = lane::BodyKind::length,
                                     .body_length = body.size()});
  lane::append_body(out, body);
  return true;
}

// Bytes of the answer's body, counted and scrubbed. False: x.failure says why they may not pass.
bool LaneSession::pass_body(Exchange& x, Scrubber& scrubber, std::string_view body, std::string& out) {
  x.down += body.size();
  auto failure = context_.permits.count_down(x.permit, body.size());
  if (!failure && !x.turn) failure = x.rules->more(body.size());
  if (!failure && x.turn && x.down > max_login_answer) {
    failure = {502, "login", "the login server's answer was kept back: it is too long"};
  }
  if (failure) {
    x.failure = std::move(*failure);
    return false;
  }
  if (patterns(x).empty() || x.rules->issues() || x.turn) return pass_on(x, body, out);
  std::string clean;
  scrubber.feed(body, clean);
  return pass_on(x, clean, out);
}

// … and its end.
bool LaneSession::end_body(Exchange& x, Scrubber& scrubber, const http::ResponseHead& head, std::string& out) {
  std::string clean;
  scrubber.finish(clean);
  return pass_on(x, clean, out) && (!x.held_answer || release(x, head, out));
}

bool LaneSession::record_answer(Exchange& x) {
  return context_.record(evidence::Event("upstream.request")
                             .add("grant", x.permit.id)
                             .add("host", x.request.host)
                             .add("port", x.request.port)
                             .add("address", x.address)
                             .add("proxy", x.proxy)
                             .add("status", x.status)
                             .add("tls", x.tls)
                             .add("http", x.h2 ? std::string_view("2") : std::string_view("1.1"))
                             .add("reused", x.reused)
                             .add("bytes_up", x.up)
                             .add("bytes_down", x.down));
}

}  // namespace bulkhead::egress
