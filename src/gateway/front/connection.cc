#include "gateway/front/connection.h"

#include <arpa/inet.h>

#include "base/text.h"
#include "gateway/front/answer.h"
#include "gateway/front/exchange.h"
#include "gateway/front/h2_connection.h"
#include "gateway/front/proxy.h"
#include "gateway/front/ssh.h"
#include "gateway/front/tunnel.h"
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

}  // namespace

Connection::Connection(Shared& shared, UniqueFd socket, Destination destination)
    : shared_(shared), stream_(shared.io, std::move(socket)), arrival_{.destination = std::move(destination)} {
  ++shared_.connections;
  shared_.streams.insert(&stream_);
}

Connection::~Connection() {
  shared_.streams.erase(&stream_);
  --shared_.connections;
}

Task<void> Connection::run() {
  const auto self = shared_from_this();
  const std::string host = arrival_.destination.canonical();
  auto opaque = grant::judge_tunnel(shared_.grants, host, arrival_.destination.port);
  if (arrival_.destination.port == proxy_port && opaque.verdict == grant::Verdict::deny) {
    if (!co_await through_proxy()) co_return;
    opaque = grant::judge_tunnel(shared_.grants, arrival_.destination.canonical(), arrival_.destination.port);
  }
  if (opaque.verdict == grant::Verdict::allow) {
    co_await tunnel(*opaque.grant);
    co_return;
  }
  if (arrival_.destination.port != 22 && only_tcp()) {
    record_refused(shared_, arrival_, "a connection",
                   "on this port only other hosts are granted, as opaque connections");
    co_return;
  }
  if (arrival_.destination.port == 22) {
    co_await refuse_ssh();
    co_return;
  }
  switch (co_await sniff()) {
    case Spoken::nothing:
      co_return;
    case Spoken::other:
      record_refused(shared_, arrival_, "a protocol that is not HTTP", "only HTTP and HTTPS can be granted");
      co_return;
    case Spoken::tls:
      if (!co_await secure()) co_return;
      arrival_.scheme = "https";
      arrival_.sni = handshake_.sni;
      break;
    case Spoken::http:
      break;
  }
  if (stream_.speaks_h2()) {
    arrival_.http2 = true;
    co_await std::make_shared<H2Connection>(shared_, self, stream_, arrival_)->run();
    co_return;
  }
  co_await serve();
}

// Nothing but opaque connections is granted on this port: a client that waits for the server's first word would wait
// here for nothing.
bool Connection::only_tcp() const {
  bool tcp = false;
  for (const Grant& grant : shared_.grants) {
    if (grant.port != arrival_.destination.port) continue;
    if (grant.protocol != Protocol::tcp) return false;
    tcp = true;
  }
  return tcp && arrival_.destination.port != 80 && arrival_.destination.port != 443;
}

// Afterwards the connection is one to where the client asked for.
Task<bool> Connection::through_proxy() {
  stream_.set_deadline(shared_.limits.head);
  const auto asked = co_await ask_proxy(stream_, shared_.limits);
  stream_.clear_deadline();
  if (!asked) {
    record_refused(shared_, arrival_, "the proxy port: " + asked.error().reason, asked.error().text);
    co_return false;
  }
  if (!*asked) co_return false;
  const std::string host(grant::without_brackets((*asked)->host));
  arrival_.destination = {host, "", (*asked)->port, false};
  Address4 four;
  Address6 six;
  if (::inet_pton(AF_INET, host.c_str(), four.data()) == 1) {
    // One that our DNS gave out.
    if (const std::string* name = shared_.names.name_of(four)) arrival_.destination.name = *name;
  } else if (::inet_pton(AF_INET6, host.c_str(), six.data()) == 1) {
    if (const std::string* name = shared_.names.name_of(six)) arrival_.destination.name = *name;
  } else {
    arrival_.destination = {"", host, (*asked)->port, true};
  }
  co_return true;
}

Task<void> Connection::tunnel(const Grant& grant) {
  began_ = Clock::now();
  const std::string host = arrival_.destination.canonical();
  const auto pool = shared_.egress.find(grant.credential);
  if (pool == shared_.egress.end()) {
    record_refused(shared_, arrival_, "a connection", "the gateway has no way out for this grant");
    co_return;
  }
  const auto tunnel =
      std::make_shared<Tunnel>(shared_, stream_, lane::Tunnel{grant.id, host, arrival_.destination.port});
  const auto record = [&](const std::string& rule) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_).count();
    return shared_.record("net.tunnel", {{"grant", grant.id},
                                         {"host", host},
                                         {"port", arrival_.destination.port},
                                         {"rule", rule},
                                         {"bytes_up", tunnel->up()},
                                         {"bytes_down", tunnel->down()},
                                         {"ms", ms}});
  };
  {
    // The session may end before it does.
    const UnderWay::Entry entry(shared_.under_way, [&] { (void)record("ended"); });
    const Live::Entry live(shared_.live, grant, nullptr, [&](Gone why) { tunnel->withdraw(why); });
    co_await tunnel->run(*pool->second);
  }
  if (!record(tunnel->reason())) co_return;
  if (tunnel->denial().empty()) co_return;
  const std::string where =
      "a connection to " + escape_for_terminal(host, 260) + ":" + std::to_string(arrival_.destination.port);
  shared_.denied.add({where + " " + tunnel->reason(), where, tunnel->denial(), ""}, Clock::now());
}

Task<Connection::Spoken> Connection::sniff() {
  stream_.set_deadline(shared_.limits.handshake);
  const bool readable = co_await stream_.readable();
  stream_.clear_deadline();
  char first = 0;
  if (!readable || stream_.peek_raw(&first, 1).empty()) {
    if (stream_.take_expired())
      record_refused(shared_, arrival_, "a client that said nothing", "HTTP and TLS clients speak first");
    co_return Spoken::nothing;
  }
  const auto byte = static_cast<unsigned char>(first);
  co_return is_tls(byte) ? Spoken::tls : is_http(byte) ? Spoken::http : Spoken::other;
}

Task<void> Connection::refuse_ssh() {
  record_refused(shared_, arrival_, "SSH",
                 "SSH can't be judged request by request; use HTTPS (git: https://…), or grant the host unseen "
                 "(protocol = \"tcp\", port = 22)");
  if (!co_await stream_.write(ssh_refusal(), shared_.limits.write)) co_return;
  co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
}

Task<bool> Connection::secure() {
  handshake_.fallback = arrival_.destination.name.empty() ? tls::LeafName{arrival_.destination.address, true}
                                                          : tls::LeafName{arrival_.destination.name, false};
  stream_.set_deadline(shared_.limits.handshake);
  const tls::ServerContext* context = shared_.tls();
  if (context == nullptr) co_return false;
  const bool done = co_await stream_.handshake(*context, handshake_);
  stream_.clear_deadline();
  if (done) co_return true;
  if (!handshake_.sni && handshake_.refused.empty()) {
    record_refused(
        shared_, arrival_, "TLS",
        "the handshake did not complete: older than TLS 1.2, neither HTTP/2 nor HTTP/1.1 offered, or no trust "
        "in the session's CA");
  } else {
    const std::string name = handshake_.sni ? escape_for_terminal(*handshake_.sni, 260) : arrival_.destination.shown();
    record_refused(shared_, arrival_, "TLS for " + name,
                   handshake_.refused.empty() ? "the handshake did not complete: does the program trust the "
                                                "session's CA (SSL_CERT_FILE)?"
                                              : handshake_.refused);
  }
  co_return false;
}

// What a port is for is what its grants say.
bool Connection::only_tls() const {
  bool https = arrival_.destination.port == 443;
  for (const Grant& grant : shared_.grants) {
    if (grant.port != arrival_.destination.port) continue;
    if (is_plain(grant.protocol)) return false;
    https = true;
  }
  return https;
}

Task<void> Connection::serve() {
  if (arrival_.scheme == "http" && only_tls()) {
    co_await reject(
        {400, "scheme",
         "plain HTTP on port " + std::to_string(arrival_.destination.port) + ", which is for HTTPS; write https://"});
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
      // Between requests the next one is waited for before it is looked for, and before there is a buffer for it.
      const bool more = (started || co_await stream_.readable()) && co_await input_.fill(stream_);
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
  if (!record_malformed(shared_, arrival_, refusal)) co_return false;
  const std::string answer = serialise({Kind::denied, refusal.status, refusal.text, ""}, {}, false, false);
  if (co_await stream_.write(answer, shared_.limits.write)) {
    co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
  }
  co_return false;
}

Task<bool> Connection::judge(http::RequestReader& reader) {
  const http::RequestHead& head = reader.head();
  Judged judged = front::judge(shared_, arrival_, head);
  grant::Decision& decision = judged.decision;
  Held held(shared_, arrival_, head, decision);
  if (held) co_await ask(head, judged, held);
  if (decision.verdict != grant::Verdict::allow) co_return co_await deny(reader, std::move(decision));

  const auto exchange = std::make_shared<Exchange>(shared_, shared_from_this(), stream_, input_, reader,
                                                   std::move(judged.up), decision.rule->max_body);
  const auto moved = [&] { return Moved{exchange->status(), exchange->up(), exchange->down(), exchange->messages()}; };
  bool keep = false;
  {
    // The session may end before it does.
    const UnderWay::Entry entry(shared_.under_way, [&] {
      decision.reason = "ended";
      (void)record_request(shared_, arrival_, head, decision, moved(), began_);
    });
    const Live::Entry live(shared_.live, *decision.grant, decision.rule, [&](Gone why) { exchange->cut(why); });
    keep = co_await exchange->run(*judged.pool);
  }
  if (!exchange->failure().empty()) decision.reason = exchange->failure();
  if (!exchange->denial().empty()) {
    decision.verdict = grant::Verdict::deny;
    tell_denied(shared_, arrival_, head, decision.reason, exchange->denial(), "");
  }
  if (!record_request(shared_, arrival_, head, decision, moved(), began_)) co_return false;
  if (keep) co_return true;
  co_await stream_.linger(shared_.limits.linger, shared_.limits.linger_bytes);
  co_return false;
}

// Denied for want of a grant: waits for the person's word, then judges again.
Task<void> Connection::ask(const http::RequestHead& head, Judged& judged, Held& held) {
  // The session may end before anybody answers.
  const UnderWay::Entry entry(shared_.under_way, [&] {
    judged.decision.reason = "ended";
    (void)record_request(shared_, arrival_, head, judged.decision, {}, began_);
  });
  stream_.watch(shared_from_this(), [&held] { held.leave(); });
  const bool again = co_await held.wait();
  stream_.unwatch();
  if (again) judged = front::judge(shared_, arrival_, head);
}

Task<bool> Connection::deny(http::RequestReader& reader, grant::Decision decision) {
  const http::RequestHead& head = reader.head();
  if (!record_request(shared_, arrival_, head, decision, {decision.status}, began_)) co_return false;
  tell_denied(shared_, arrival_, head, decision.reason, decision.text, decision.add);

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
