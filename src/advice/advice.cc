#include "advice/advice.h"

namespace bulkhead::advice {

bool looks_made_up(std::string_view segment) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto hex = [&](char c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  if (segment.empty()) return false;
  const auto digits = std::ranges::count_if(segment, digit);
  if (std::ranges::all_of(segment, digit)) return true;
  // Commits, digests, UUIDs.
  if (segment.size() >= 7 && digits > 0 && std::ranges::all_of(segment, hex)) return true;
  if (segment.size() == 36 && std::ranges::all_of(segment, [&](char c) { return hex(c) || c == '-'; })) return true;
  // `msg_01AbC…`, and other long names that nobody thought of.
  const bool plain =
      std::ranges::all_of(segment, [&](char c) { return digit(c) || letter(c) || c == '_' || c == '-'; });
  return plain && segment.size() >= 20 && digits >= 3;
}

}  // namespace bulkhead::advice
