// A ClientHello, read as front reads it: the name that is judged is the one that stands in it by RFC 8446 §4.1.2 and
// RFC 6066 §3, however it is cut into records; without one, nothing is judged but the address. No leaf may be minted
// here, so that every handshake ends where the name is known: what follows costs a signature and reads nothing more.
// Input as for hello_peers: the handshake message's body; it is sent in records of as many bytes as its last byte says.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/grant/host.h"
#include "gateway/tls/server_context.h"

namespace {
using namespace bulkhead;

struct Front {
  tls::SessionCa ca = std::move(*tls::SessionCa::make("fuzz", 1'700'000'000));
  tls::Leaves leaves{ca, {}, {.cached = 0, .minted_per_second = 0, .minted_burst = 0}};
  tls::ServerContext context = std::move(
      *tls::ServerContext::make(ca, leaves, [](std::string_view name) { return grant::canonical_host(name); }));
};

// The next vector, whose length stands before it in `bytes` bytes. Empty where there is none.
std::string_view vector(std::string_view& rest, std::size_t bytes) {
  std::size_t length = 0;
  if (rest.size() < bytes) return rest = {};
  for (std::size_t i = 0; i < bytes; ++i) length = length << 8 | static_cast<unsigned char>(rest[i]);
  const std::string_view found = rest.substr(bytes, length);
  rest.remove_prefix(std::min(bytes + length, rest.size()));
  return found;
}

// What stands in the server_name extension behind the type of its first name; nullopt without the extension.
std::optional<std::string_view> written(std::string_view hello) {
  constexpr std::size_t version_and_random = 34;
  std::string_view rest = hello.substr(std::min(version_and_random, hello.size()));
  (void)vector(rest, 1);  // session
  (void)vector(rest, 2);  // cipher suites
  (void)vector(rest, 1);  // compression
  for (std::string_view extensions = vector(rest, 2); extensions.size() >= 4;) {
    const std::string_view type = extensions.substr(0, 2);
    extensions.remove_prefix(2);
    std::string_view data = vector(extensions, 2);
    if (type != std::string_view("\0\0", 2)) continue;
    std::string_view names = vector(data, 2);
    if (names.empty()) return names;
    names.remove_prefix(1);
    return vector(names, 2);
  }
  return std::nullopt;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Front front;
  if (size < 2 || size > 20'000) return 0;
  const std::size_t piece = std::max<std::size_t>(data[size - 1], 1) * 64;
  const std::string_view body(reinterpret_cast<const char*>(data), size - 1);
  std::string message("\x01", 1), sent;
  for (const int shift : {16, 8, 0}) message += static_cast<char>(body.size() >> shift & 0xff);
  message += body;
  for (std::string_view rest = message; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    const std::string_view part = rest.substr(0, piece);
    sent.append("\x16\x03\x01", 3);
    sent += static_cast<char>(part.size() >> 8);
    sent += static_cast<char>(part.size() & 0xff);
    sent += part;
  }
  tls::Handshake handshake;
  handshake.fallback = {"11.22.33.44", true};
  auto ssl = front.context.accept(-1, handshake);
  expect(ssl.has_value());
  BIO* in = ::BIO_new_mem_buf(sent.data(), static_cast<int>(sent.size()));
  BIO* out = ::BIO_new(::BIO_s_null());
  expect(in != nullptr && out != nullptr);
  ::SSL_set_bio(ssl->get(), in, out);  // they are its own now
  expect(::SSL_accept(ssl->get()) <= 0);
  ERR_clear_error();
  expect(front.leaves.minted() == 0);
  if (handshake.refused.empty()) {  // no ClientHello to the end
    expect(!handshake.sni);
    return 0;
  }
  const std::optional<std::string_view> name = written(body);
  expect(name.has_value() == (handshake.sni || handshake.refused == "server name is not a host name"));
  if (name) expect(grant::canonical_host(*name) == handshake.sni);
  return 0;
}
