#include "gateway/front/connection.h"

#include "base/text.h"
#include "gateway/front/answer.h"
#include "gateway/front/exchange.h"
#include "gateway/front/ssh.h"
#include "gateway/grant/host.h"

namespace bulkhead::front {
namespace {

constexpr std::size_t drained_body = 64 * 1024;  // of a denied request, to keep its connection

bool is_tls(unsigned char first) {
  return first == 0x16;
}  // a handshake record, RFC 8446 §5.1
bool is_http(unsigned char first) {
  return first >= 'A' && first <= 'Z';
}

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

}  // namespace

Connection::Connection(Shared& shared, UniqueFd socket, Destination destination)
    : shared_(shared), stream_(shared.io, std::move(socket)), destination_(std::move(destination)) {
  ++shared_.connections;
  shared_.streams.insert(&stream_);
}

Connection::~Connection() {
  shared_.streams.erase(&stream_);
  --shared_.connections;
}

void Connection::refused(const std::string& what, const std::string& why) {
  const std::string where = escape_for_terminal(destination_.shown(), 260) + ":" + std::to_string(destination_.port);
  if (!shared_.record("net.refused", {{"port", destination_.port},
                                      {"address", destination_.address},
                                      {"name", destination_.name},
                                      {"what", what}})) {
    return;
  }
  shared_.denied.add({what + " " + where, what + " to " + where, why, ""}, Clock::now());
}

Task<void> Connection::run() {
  const auto self = shared_from_this();
  if (destination_.port == 22) {
    co_await refuse_ssh();
    co_return;
  }
  switch (co_await sniff()) {
    case Spoken::nothing:
      co_return;
    case Spoken::other:
      refused("a protocol that is not HTTP", "only HTTP and HTTPS can be granted");
      co_return;
    case Spoken::tls:
      if (!co_await secure()) co_return;
      scheme_ = "https";
      break;
    case Spoken::http:
      break;
  }
  co_await serve();
}

Task<Connection::Spoken> Connection::sniff() {
  stream_.set_deadline(shared_.limits.handshake);
  const bool readable = co_await stream_.readable();
  stream_.clear_deadline();
  char first = 0;
  if (!readable || stream_.peek_raw(&first, 1).empty()) {
    if (stream_.take_expired()) refused("a client that said nothing", "HTTP and TLS clients speak first");
    co_return Spoken::nothing;
  }
  const auto byte = static_cast<unsigned char>(first);
  co_return is_tls(byte) ? Spoken::tls : is_http(byte) ? Spoken::http : Spoken::other;
}

Task<void> Connection::refuse_ssh() {
  refused("SSH", "SSH can't be judged request by request; use HTTPS (git: https://…)");
  if (!co_await stream_.write(ssh_refusal(), shared_.limits.write)) co_return;
  co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
}

Task<bool> Connection::secure() {
  handshake_.fallback =
      destination_.name.empty() ? tls::LeafName{destination_.address, true} : tls::LeafName{destination_.name, false};
  stream_.set_deadline(shared_.limits.handshake);
  const tls::ServerContext* context = shared_.tls();
  if (context == nullptr) co_return false;
  const bool done = co_await stream_.handshake(*context, handshake_);
  stream_.clear_deadline();
  if (done) co_return true;
  if (!handshake_.sni && handshake_.refused.empty()) {
    refused("TLS",
            "the handshake did not complete: older than TLS 1.2, no HTTP/1.1 offered, or no trust "
            "in the session's CA");
  } else {
    const std::string name = handshake_.sni ? escape_for_terminal(*handshake_.sni, 260) : destination_.shown();
    refused("TLS for " + name, handshake_.refused.empty()
                                   ? "the handshake did not complete: does the program trust the "
                                     "session's CA (SSL_CERT_FILE)?"
                                   : handshake_.refused);
  }
  co_return false;
}

// What a port is for is what its grants say.
bool Connection::only_tls() const {
  bool https = destination_.port == 443;
  for (const Grant& grant : shared_.grants) {
    if (grant.port != destination_.port) continue;
    if (grant.protocol == Protocol::http) return false;
    https = true;
  }
  return https;
}

Task<void> Connection::serve() {
  if (scheme_ == "http" && only_tls()) {
    co_await reject(
        {400, "scheme",
         "plain HTTP on port " + std::to_string(destination_.port) + ", which is for HTTPS; write https://"});
    co_return;
  }
  while (!shared_.stopped && co_await request()) input_.rest();
}

Task<bool> Connection::request() {
  http::RequestReader reader(shared_.limits.http);
  if (!co_await read_head(reader)) co_return false;
  began_ = Clock::now();
  co_return co_await judge(reader);
}

Task<bool> Connection::read_head(http::RequestReader& reader) {
  bool started = !input_.empty();
  stream_.set_deadline(started ? shared_.limits.head : shared_.limits.idle);
  std::string none;
  while (reader.state() == http::State::head) {
    if (input_.empty()) {
      const bool more = co_await input_.fill(stream_);
      if (!more) {
        if (stream_.take_expired() && started) co_await reject({408, "slow", "the request did not come in time"});
        co_return false;
      }
      if (!std::exchange(started, true)) stream_.set_deadline(shared_.limits.head);
    }
    const auto taken = reader.feed(input_.view(), none);
    if (!taken) {
      stream_.clear_deadline();
      co_await reject(taken.error());
      co_return false;
    }
    input_.consume(*taken);
  }
  stream_.clear_deadline();
  co_return true;
}

// A request no reader takes: there is no telling where it ends, so the connection ends with it.
Task<bool> Connection::reject(const http::Refusal& refusal) {
  const std::string where = scheme_ + "://" + escape_for_terminal(destination_.shown(), 260);
  if (!shared_.record("http.request", {{"host", destination_.shown()},
                                       {"port", destination_.port},
                                       {"decision", "deny"},
                                       {"rule", refusal.reason},
                                       {"status", refusal.status}})) {
    co_return false;
  }
  shared_.denied.add({"malformed " + where + " " + refusal.reason, "a malformed request to " + where, refusal.text, ""},
                     Clock::now());
  const std::string answer = serialise({Kind::denied, refusal.status, refusal.text, ""}, {}, false, false);
  if (co_await stream_.write(answer, shared_.limits.write)) {
    co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
  }
  co_return false;
}

std::string Connection::url(const http::RequestHead& head) const {
  return scheme_ + "://" + escape_for_terminal(head.host, 260) + escape_for_terminal(path_of(head.target), 300);
}

bool Connection::record_request(const http::RequestHead& head, const grant::Decision& decision, std::uint16_t status,
                                std::uint64_t up, std::uint64_t down) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_).count();
  const bool allowed = decision.verdict == grant::Verdict::allow;
  nlohmann::json fields{{"method", head.method},
                        {"scheme", scheme_},
                        {"host", head.host},
                        {"port", destination_.port},
                        {"path", head.target.substr(0, 2048)},
                        {"decision", allowed ? "allow" : "deny"},
                        {"rule", decision.reason},
                        {"status", status},
                        {"bytes_up", up},
                        {"bytes_down", down},
                        {"ms", ms}};
  if (decision.grant != nullptr) fields["grant"] = decision.grant->id;
  return shared_.record("http.request", fields);
}

Task<bool> Connection::judge(http::RequestReader& reader) {
  const http::RequestHead& head = reader.head();
  const auto authority = grant::parse_authority(head.host);
  const std::uint16_t usual = scheme_ == "https" ? 443 : 80;
  const auto mismatch = [&](std::string text) {
    grant::Decision decision;
    decision.status = 421;
    decision.reason = "host-mismatch";
    decision.text = std::move(text);
    return decision;
  };
  if (!authority) {
    grant::Decision decision;
    decision.status = 400;
    decision.reason = "host-malformed";
    decision.text = "the Host header is no canonical host name";
    co_return co_await deny(reader, std::move(decision), url(head));
  }
  if (authority->port.value_or(usual) != destination_.port) {
    co_return co_await deny(reader, mismatch("the Host header names another port than the one that was dialled"),
                            url(head));
  }
  if (handshake_.sni && *handshake_.sni != authority->host) {
    co_return co_await deny(reader, mismatch("the Host header and the TLS server name differ"), url(head));
  }

  grant::RequestHead request{.method = head.method,
                             .scheme = scheme_,
                             .host = authority->host,
                             .port = destination_.port,
                             .target = head.target,
                             .headers = head.headers,
                             .body = head.body,
                             .body_length = head.body_length};
  grant::Decision decision = grant::judge(shared_.grants, shared_.tokens, request);
  if (decision.verdict != grant::Verdict::allow) co_return co_await deny(reader, std::move(decision), url(head));

  lane::Request up{.grant = decision.grant->id,
                   .method = head.method,
                   .scheme = scheme_,
                   .host = request.host,
                   .port = request.port,
                   .target = head.target,
                   .headers = grant::upstream_headers(request, shared_.slot_of(*decision.grant)),
                   .slot_filled = decision.slot_filled,
                   .body = head.body,
                   .body_length = head.body_length};
  const auto pool = shared_.egress.find(decision.grant->credential);
  if (pool == shared_.egress.end()) {
    decision.verdict = grant::Verdict::deny;
    decision.status = 502;
    decision.reason = "egress";
    decision.text = "the gateway has no way out for this grant's credential";
    co_return co_await deny(reader, std::move(decision), url(head));
  }
  const auto exchange = std::make_shared<Exchange>(shared_, shared_from_this(), stream_, input_, reader, std::move(up),
                                                   decision.rule->max_body);
  bool keep = false;
  {
    // The session may end before it does.
    const UnderWay::Entry entry(shared_.under_way, [&] {
      decision.reason = "ended";
      (void)record_request(head, decision, exchange->status(), exchange->up(), exchange->down());
    });
    keep = co_await exchange->run(*pool->second);
  }
  if (!exchange->failure().empty()) decision.reason = exchange->failure();
  if (!exchange->denial().empty()) {
    decision.verdict = grant::Verdict::deny;
    shared_.denied.add({head.method + " " + url(head) + " " + decision.reason,
                        escape_for_terminal(head.method, 40) + " " + url(head), exchange->denial(), ""},
                       Clock::now());
  }
  if (!record_request(head, decision, exchange->status(), exchange->up(), exchange->down())) co_return false;
  if (keep) co_return true;
  co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
  co_return false;
}

Task<bool> Connection::deny(http::RequestReader& reader, grant::Decision decision, std::string what) {
  const http::RequestHead& head = reader.head();
  if (!record_request(head, decision, decision.status, 0, 0)) co_return false;
  const std::string key = head.method + " " + what + " " + decision.reason;
  shared_.denied.add({key, escape_for_terminal(head.method, 40) + " " + what, decision.text, decision.add},
                     Clock::now());

  // A client that waits for 100 has sent no body and now never will.
  const bool little =
      !head.expect_continue &&
      (head.body == lane::BodyKind::none || (head.body == lane::BodyKind::length && head.body_length <= drained_body));
  const bool keep = head.keep_alive && little;
  const std::string answer =
      serialise({Kind::denied, decision.status, std::move(decision.text), std::move(decision.add)}, head.headers, keep,
                head.method == "HEAD");
  if (!co_await stream_.write(answer, shared_.limits.write)) co_return false;
  if (keep) co_return co_await drain(reader);
  co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
  co_return false;
}

Task<bool> Connection::drain(http::RequestReader& reader) {
  std::string body;
  while (reader.state() != http::State::done) {
    if (input_.empty()) {
      stream_.set_deadline(shared_.limits.body);
      const bool more = co_await input_.fill(stream_);
      stream_.clear_deadline();
      if (!more) co_return false;
    }
    const auto taken = reader.feed(input_.view(), body);
    if (!taken) co_return false;
    input_.consume(*taken);
    body.clear();
  }
  co_return true;
}

}  // namespace bulkhead::front
