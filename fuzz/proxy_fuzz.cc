// What a client of the proxy port says: SOCKS 5 messages and the head of a CONNECT. Read in one piece and byte by
// byte they mean the same, and what is accepted is canonical.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/front/proxy.h"
#include "gateway/grant/host.h"

namespace {

using namespace bulkhead;

// "refused", or what the message says once all of it is there.
template <class Message, class Say>
std::string meaning(std::string_view bytes, tl::expected<Message, http::Refusal> (*read)(std::string_view), Say say) {
  const auto whole = read(bytes);
  if (!whole) return "refused";
  if (whole->size > bytes.size()) return "more";
  // The same from its own bytes, and nothing of it before they are all there.
  for (std::size_t size = 0; size < whole->size; ++size) {
    const auto part = read(bytes.substr(0, size));
    expect(part && part->size > size);
  }
  const auto exact = read(bytes.substr(0, whole->size));
  expect(exact && exact->size == whole->size && say(*exact) == say(*whole));
  return say(*whole);
}

void connect(std::string_view bytes) {
  http::ConnectReader whole, slow;
  const auto taken = whole.feed(bytes);
  bool refused = false;
  std::size_t total = 0;
  for (; total < bytes.size() && !refused && !slow.done(); ++total) {
    const auto one = slow.feed(bytes.substr(total, 1));
    refused = !one;
    if (one) expect(*one == 1);
  }
  expect(refused == !taken && (!taken || (whole.done() == slow.done() && *taken == total)));
  if (!taken || !whole.done()) return;
  expect(whole.target() == slow.target());
  expect(whole.target().find_first_of(std::string_view(" \t\r\n\0", 5)) == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)meaning<front::SocksGreeting>(bytes, front::read_socks_greeting, [](const front::SocksGreeting& greeting) {
    return std::string(greeting.without_password ? "open" : "closed");
  });
  (void)meaning<front::SocksRequest>(bytes, front::read_socks_request, [](const front::SocksRequest& request) {
    expect(grant::canonical_host(request.asked.host) == request.asked.host && request.asked.port != 0);
    return request.asked.host + " " + std::to_string(request.asked.port);
  });
  connect(bytes);
  return 0;
}
