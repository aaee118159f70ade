#include "gateway/egress/upstream_proxy.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/text.h"
#include "credential/exchange.h"
#include "gateway/grant/host.h"
#include "gateway/http/http.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

namespace {

constexpr http::Limits small{.head = 16 * 1024, .headers = 100, .target = 1024, .chunk_line = 16};

const std::string* header(const http::ResponseHead& head, std::string_view name) {
  const auto at = std::ranges::find(head.headers, name, &lane::Headers::value_type::first);
  return at == head.headers.end() ? nullptr : &at->second;
}

}  // namespace

Result<void> UpstreamProxy::give(const Secret& secret) {
  BH_TRY(const CredentialHeader made, exchange(config_.slot, secret));
  authorization_ = Secret(made.value.reveal());
  secret_ = Secret(secret.reveal());
  return {};
}

bool UpstreamProxy::carries(std::string_view host) const {
  return used() && !grant::any_host_matches(config_.upstream.no_proxy, host);
}

std::string UpstreamProxy::name() const {
  const Upstream& upstream = config_.upstream;
  const bool v6 = upstream.proxy_host.find(':') != std::string::npos;
  return (v6 ? "[" + upstream.proxy_host + "]" : upstream.proxy_host) + ":" + std::to_string(upstream.proxy_port);
}

std::string UpstreamProxy::hint() const {
  if (used() || !config_.environment_names_one) return {};
  return "; this machine's environment names a proxy, which is not used unless the policy says so: write [upstream] "
         "proxy = \"http://HOST:PORT\"";
}

asio::awaitable<tl::expected<void, UpstreamProxy::Refused>> UpstreamProxy::connect(
    Connection& connection, std::string authority, bool server_speaks_first, std::chrono::milliseconds limit) const {
  const auto end = Connection::Clock::now() + limit;
  const auto failure = [&](std::uint16_t status, const std::string& text, bool of_this_address = false) {
    return tl::unexpected<Refused>(
        Refused{{status, "proxy", "the proxy " + name() + " " + text}, of_this_address || status == 504});
  };
  connection.extend(limit);
  lane::Headers headers;
  if (!authorization_.empty()) headers.emplace_back("Proxy-Authorization", authorization_.reveal());
  std::string head = http::serialise_request("CONNECT", authority, authority, headers, lane::BodyKind::none, 0);
  if (!headers.empty()) wipe(headers.back().second);
  const auto written = co_await connection.write(head);
  wipe(head);
  if (!written) co_return failure(connection.timed_out() ? 504 : 502, "took no request: " + written.error().message);

  // An answer to CONNECT has no body, whatever it says (RFC 9110 §9.3.6), as one to HEAD.
  http::ResponseReader reader("HEAD", small);
  std::array<char, 4096> buffer{};
  std::string body;
  while (reader.state() == http::State::head) {
    // Not from the last byte on: one now and then would keep us here.
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Connection::Clock::now());
    if (left <= std::chrono::milliseconds(0)) co_return failure(504, "was too slow to answer");
    connection.extend(left);
    const auto got = co_await connection.peek_some(buffer);
    if (!got) co_return failure(connection.timed_out() ? 504 : 502, "gave no answer: " + got.error().message);
    if (*got == 0) co_return failure(502, "closed the connection instead of an answer");
    const auto taken = reader.feed({buffer.data(), *got}, body);
    if (!taken) co_return failure(502, "gave an answer that is none: " + taken.error().text);
    if (const auto skipped = co_await connection.skip(*taken); !skipped) {
      co_return failure(502, "gave half an answer: " + skipped.error().message);
    }
  }
  const http::ResponseHead& answer = reader.head();
  if (answer.status == 407) {
    co_return failure(502, asks_for_credential()
                               ? "refused the credential \"" + config_.upstream.credential +
                                     "\" (407); see [credential." + config_.upstream.credential + "] in the policy"
                               : "wants a user and a password (407): name a credential with carry = { basic = "
                                 "\"USER\" } as `credential` in [upstream]");
  }
  if (answer.status != 200) {
    std::string text = "answered " + std::to_string(answer.status) + " to a connection to " + authority;
    if (answer.status >= 400 && answer.status < 500 && !config_.upstream.proxy_resolves) {
      text +=
          "; if it takes no addresses, only names, write resolve = \"proxy\" in [upstream] (what it costs is in "
          "bulkhead-policy(5))";
    }
    co_return failure(answer.status == 504 ? 504 : 502, text, answer.status >= 500);
  }
  const std::string* length = header(answer, "content-length");
  if (header(answer, "transfer-encoding") != nullptr || (length != nullptr && *length != "0")) {
    co_return failure(502, "put a body behind its answer to CONNECT, where the upstream's bytes belong");
  }
  if (!server_speaks_first && !connection.quiet()) {
    co_return failure(502, "sent bytes behind its answer, before anything was asked of the upstream");
  }
  co_return tl::expected<void, Refused>();
}

}  // namespace bulkhead::egress
