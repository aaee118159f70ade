// A ClientHello: the name that is judged is the one a reader that is not ours finds in it: GnuTLS, from Debian.
// Input: the handshake message's body; it is sent in records of as many bytes as its last byte says.
#include <gnutls/gnutls.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/sys.h"
#include "fuzz/peers/expect.h"
#include "gateway/grant/host.h"
#include "gateway/tls/server_context.h"

namespace {
using namespace bulkhead;

struct Front {
  tls::SessionCa ca = std::move(*tls::SessionCa::make("fuzz", 1'700'000'000));
  tls::Leaves leaves{ca, {"api.example.com"}, {}};
  tls::ServerContext context = std::move(
      *tls::ServerContext::make(ca, leaves, [](std::string_view name) { return grant::canonical_host(name); }));
};

// The one host_name in the server_name extension (RFC 6066 §3).
int note(void* into, unsigned kind, const unsigned char* data, unsigned size) {
  if (kind != 0 || size < 5) return 0;
  const std::size_t length = static_cast<std::size_t>(data[3]) << 8 | data[4];
  if (data[2] == 0 && length + 5 <= size) {
    static_cast<std::string*>(into)->assign(reinterpret_cast<const char*>(data) + 5, length);
  }
  return 0;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Front front;
  if (size < 2 || size > 20'000) return 0;
  const std::size_t piece = std::max<std::size_t>(data[size - 1], 1);
  const std::string body(reinterpret_cast<const char*>(data), size - 1);
  std::string message("\x01", 1), sent;
  for (const int shift : {16, 8, 0}) message += static_cast<char>(body.size() >> shift & 0xff);
  message += body;
  for (std::string_view rest = message; !rest.empty(); rest.remove_prefix(std::min(piece * 64, rest.size()))) {
    const std::string_view part = rest.substr(0, piece * 64);
    sent +=
        std::string("\x16\x03\x01", 3) + static_cast<char>(part.size() >> 8) + static_cast<char>(part.size() & 0xff);
    sent += part;
  }
  auto pair = sys::socket_pair(SOCK_STREAM);
  if (!pair || !sys::set_nonblocking(pair->first.get(), true) || !sys::set_nonblocking(pair->second.get(), true))
    return 0;
  expect(::send(pair->second.get(), sent.data(), sent.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(sent.size()));
  tls::Handshake handshake;
  handshake.fallback = {"11.22.33.44", true};
  auto ssl = front.context.accept(pair->first.get(), handshake);
  expect(ssl.has_value());
  ERR_clear_error();
  (void)SSL_accept(ssl->get());
  ERR_clear_error();
  if (handshake.sni) {
    std::string name;
    const gnutls_datum_t whole{const_cast<unsigned char*>(data), static_cast<unsigned>(size - 1)};
    if (gnutls_ext_raw_parse(&name, note, &whole, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO) >= 0) {
      expect(grant::canonical_host(name) == handshake.sni);
    }
  }
  return 0;
}
