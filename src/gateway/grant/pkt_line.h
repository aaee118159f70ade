// git's pkt-lines (gitprotocol-common(5)): four hex digits of length, themselves counted, then that much; `0000` is a
// flush. A strict gate: what git accepts in more than one spelling is taken in the one git writes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::grant {

inline constexpr std::size_t max_pkt_line = 65516;  // bytes of data: LARGE_PACKET_DATA_MAX

struct PktLine {
  bool flush = false;
  std::string_view data;  // points into what was read from
};

enum class PktState { whole, more, bad };

// The pkt-line at the beginning of `bytes`. `whole`: `line` is it, and it took `taken` bytes. `more`: it is not all
// there yet. `bad`: there is none (upper-case digits, a length of 1 to 4, or one beyond the limit).
PktState read_pkt_line(std::string_view bytes, PktLine& line, std::size_t& taken);

}  // namespace bulkhead::grant
