#include "gateway/front/ssh.h"

#include <cstdint>
#include <string_view>

namespace bulkhead::front {
namespace {

constexpr char disconnect = 1;                      // SSH_MSG_DISCONNECT
constexpr std::uint32_t service_not_available = 7;  // SSH_DISCONNECT_SERVICE_NOT_AVAILABLE
constexpr std::size_t block = 8;                    // RFC 4253 6: packets are padded to this without a cipher

void number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

void text(std::string& out, std::string_view value) {
  number(out, static_cast<std::uint32_t>(value.size()));
  out.append(value);
}

}  // namespace

std::string ssh_refusal() {
  std::string payload(1, disconnect);
  number(payload, service_not_available);
  text(payload, "Bulkhead: ssh is not available here; use https");
  text(payload, "en");
  std::size_t padding = block - (4 + 1 + payload.size()) % block;
  if (padding < 4) padding += block;
  std::string out = "SSH-2.0-Bulkhead\r\n";
  number(out, static_cast<std::uint32_t>(1 + payload.size() + padding));
  out.push_back(static_cast<char>(padding));
  return out + payload + std::string(padding, '\0');
}

}  // namespace bulkhead::front
