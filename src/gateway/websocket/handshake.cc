#include "gateway/websocket/handshake.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"

namespace bulkhead::websocket {
namespace {

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string out((size + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock(3) ends it with a NUL
  ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes, static_cast<int>(size));
  out.pop_back();
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool connection_upgrades(const lane::Headers& headers) {
  return std::ranges::any_of(headers, [](const auto& header) {
    if (header.first != "connection") return false;
    const std::vector<std::string> words = split(header.second, ',');
    return std::ranges::any_of(words, [](const std::string& word) { return lower_ascii(trim(word)) == "upgrade"; });
  });
}

bool has(const lane::Headers& headers, std::string_view name) {
  return std::ranges::any_of(headers, [&](const auto& header) { return header.first == name; });
}

[[noreturn]] void no_crypto(const char* what) {
  std::fprintf(stderr, "bulkhead: websocket: %s\n", what);
  std::abort();
}

}  // namespace

std::string make_key() {
  std::array<unsigned char, 16> bytes{};
  if (::RAND_bytes(bytes.data(), bytes.size()) != 1) no_crypto("no random bytes for a key");
  return base64(bytes.data(), bytes.size());
}

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // §1.3
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha1(), nullptr) != 1) no_crypto("no SHA-1");
  return base64(digest.data(), size);
}

std::optional<std::string_view> only(const lane::Headers& headers, std::string_view name) {
  std::optional<std::string_view> found;
  for (const auto& [one, value] : headers) {
    if (one != name) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found;
}

std::vector<std::string> offered_protocols(const lane::Headers& headers) {
  std::vector<std::string> out;
  for (const auto& [name, value] : headers) {
    if (name != "sec-websocket-protocol") continue;
    for (const std::string& one : split(value, ',')) out.emplace_back(trim(one));
  }
  return out;
}

std::optional<std::string> judge_switch(const lane::Headers& headers, std::string_view key,
                                        const std::vector<std::string>& offered, std::string& protocol) {
  const auto upgrade = only(headers, "upgrade");
  if (!upgrade || lower_ascii(*upgrade) != "websocket") return "the server switched to something other than WebSocket";
  if (!connection_upgrades(headers)) return "the server's answer does not say that the connection is upgraded";
  const auto accept = only(headers, "sec-websocket-accept");
  if (!accept || *accept != accept_of(key)) return "the server's Sec-WebSocket-Accept is not the one for our key";
  if (has(headers, "sec-websocket-extensions")) return "the server chose an extension, and none was offered";
  protocol.clear();
  if (!has(headers, "sec-websocket-protocol")) return std::nullopt;
  const auto chosen = only(headers, "sec-websocket-protocol");
  if (!chosen || std::ranges::find(offered, *chosen) == offered.end()) {
    return "the server chose a subprotocol that was not offered";
  }
  protocol = *chosen;
  return std::nullopt;
}

}  // namespace bulkhead::websocket
