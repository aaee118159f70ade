#include "gateway/grant/pkt_line.h"

namespace bulkhead::grant {
namespace {

constexpr std::size_t header = 4;

int lower_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

PktState read_pkt_line(std::string_view bytes, PktLine& line, std::size_t& taken) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < header; ++i) {
    if (i == bytes.size()) return PktState::more;
    const int digit = lower_hex(bytes[i]);
    if (digit < 0) return PktState::bad;
    length = length * 16 + static_cast<std::size_t>(digit);
  }
  if (length == 0) {
    line = {.flush = true, .data = {}};
    taken = header;
    return PktState::whole;
  }
  // 1 to 3 delimit where nobody delimits here; an empty line says nothing.
  if (length <= header || length > header + max_pkt_line) return PktState::bad;
  if (bytes.size() < length) return PktState::more;
  line = {.flush = false, .data = bytes.substr(header, length - header)};
  taken = length;
  return PktState::whole;
}

}  // namespace bulkhead::grant
