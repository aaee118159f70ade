// The part of LaneSession that is about refreshes of an agent's login.
#include "gateway/egress/lane_exchange.h"
#include "gateway/grant/refresh.h"

namespace bulkhead::egress {

// The body is held: judges it, waits for its turn, and puts the real token in. x.refused says why it may not go up.
asio::awaitable<void> LaneSession::begin_refresh(Exchange& x) {
  if (!context_.login || !context_.issued) {
    x.refused = {403, "carrier", "this grant's credential is no login"};
    co_return;
  }
  if (x.permit.use_credential) {
    x.refused = {403, "carrier", "a refresh carries its token in its body, and nothing in its head"};
    co_return;
  }
  const bool form = x.permit.rule->content_type != "application/json";
  auto fields = grant::judge_refresh(context_.login->login(), context_.login->slot(), form, x.held->bytes);
  if (!fields) {
    x.refused = std::move(fields).error();
    co_return;
  }
  auto turn = co_await context_.login->begin(*context_.issued);
  if (!turn) {
    x.refused = std::move(turn).error();
    co_return;
  }
  if (x.refused) co_return;  // cut off meanwhile
  context_.take_out_issued();
  x.turn = std::move(*turn);
  std::string body = context_.login->body(*fields, form);
  context_.held += body.size();
  context_.held -= x.held->bytes.size();
  x.held->bytes = std::move(body);
  x.request.body = lane::BodyKind::length;
  x.request.body_length = x.held->bytes.size();
}

// The whole answer to one: what is new is kept and written to the host's file, and the workload gets tokens of its own.
// False: x.failure says why it gets nothing of it.
bool LaneSession::renew(Exchange& x, std::uint16_t status, std::string_view body, std::string& out) {
  auto answer = context_.login->finish(*x.turn, status, body, *context_.issued);
  x.turn.reset();
  if (!answer) {
    x.failure = std::move(answer).error();
    return false;
  }
  if (answer->number) {
    const bool recorded = context_.record("credential.refreshed", {{"credential", context_.credential},
                                                                   {"host", x.request.host},
                                                                   {"port", x.request.port},
                                                                   {"grant", x.permit.id},
                                                                   {"number", *answer->number},
                                                                   {"rotated", answer->rotated},
                                                                   {"written", answer->written},
                                                                   {"why", answer->why}});
    if (!recorded) return false;
    context_.take_out_issued();
  }
  context_.patterns.scrub(answer->body);
  out += lane::encode(lane::Response{.status = status,
                                     .headers = {{"content-type", "application/json"}, {"cache-control", "no-store"}},
                                     .body = lane::BodyKind::length,
                                     .body_length = answer->body.size()});
  lane::append_body(out, answer->body);
  return true;
}

}  // namespace bulkhead::egress
