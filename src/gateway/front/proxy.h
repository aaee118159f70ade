// The proxy port, for tools that insist on one: HTTP's CONNECT and SOCKS 5 (RFC 1928), both of which name where the
// connection is meant to go. What then comes through it is judged as if it had gone there by itself: a proxy in front
// of the gateway opens nothing.
#pragma once

#include <optional>
#include <string>

#include "gateway/front/limits.h"
#include "gateway/front/stream.h"
#include "gateway/http/http.h"

namespace bulkhead::front {

// Where a client of the proxy port wants to go. `host` is canonical (gateway/grant/host.h).
struct Asked {
  std::string host;
  std::uint16_t port = 0;
};

// Reads what the client asks for, byte for byte and not beyond, and answers it. An error: it was refused, and told so
// where its protocol has a way; `text` is for people. nullopt: it left, or said nothing in time.
Task<tl::expected<std::optional<Asked>, http::Refusal>> ask_proxy(Stream& stream, const Limits& limits);

// SOCKS 5 as the client speaks it, in two messages; pure, for the tests and the fuzzer. `size` is how many bytes the
// message takes, as far as `bytes` shows it: the rest means something only once that many are there.
struct SocksGreeting {
  std::size_t size = 0;
  bool without_password = false;  // offers to go on without one
};
tl::expected<SocksGreeting, http::Refusal> read_socks_greeting(std::string_view bytes);
struct SocksRequest {
  std::size_t size = 0;
  Asked asked;
};
tl::expected<SocksRequest, http::Refusal> read_socks_request(std::string_view bytes);

}  // namespace bulkhead::front
