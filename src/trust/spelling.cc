#include "trust/spelling.h"

#include <stdlib.h>
#include <utf8proc.h>

#include <algorithm>
#include <memory>

#include "base/text.h"

namespace bulkhead::trust {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string fold_unicode(std::string_view name) {
  utf8proc_uint8_t* out = nullptr;
  // The enum's values are bits, and utf8proc takes any of them together.
  const auto options =  // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()),
                                               static_cast<utf8proc_ssize_t>(name.size()), &out, options);
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(out, ::free);
  if (length < 0) return lower_ascii(name);
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(length)};
}

// What Windows' own name parser takes away.
void drop_windows_tail(std::string& name) {
  if (const auto colon = name.find(':'); colon != std::string::npos && colon > 0) name.resize(colon);
  const auto last = name.find_last_not_of(". ");
  if (last != std::string::npos) name.resize(last + 1);
}

}  // namespace

std::string folded(std::string_view name) {
  std::string out(name);
  drop_windows_tail(out);
  out = is_ascii(out) || !valid_utf8(out) ? lower_ascii(out) : fold_unicode(out);
  drop_windows_tail(out);  // ignored code points may have stood behind it
  return out.empty() ? lower_ascii(name) : out;
}

bool is_short_name_of(std::string_view name, std::string_view plain) {
  const auto tilde = name.find('~');
  if (tilde == std::string_view::npos || tilde == 0 || tilde > 6) return false;
  const auto extension_of = [](std::string_view text) {
    const auto dot = text.rfind('.');
    return dot == std::string_view::npos || dot == 0 ? std::string_view() : text.substr(dot + 1);
  };
  const std::string_view after = name.substr(tilde + 1);
  const auto digits = std::min(after.find_first_not_of("0123456789"), after.size());
  if (digits == 0 || (digits < after.size() && after[digits] != '.')) return false;
  // The alias has the first six letters of the name, or after four aliases two of them and a hash.
  const std::string_view extension = extension_of(plain);
  std::string_view stem = plain.substr(0, extension.empty() ? plain.size() : plain.size() - extension.size() - 1);
  std::string base;
  for (const char c : stem) {
    if (c != '.' && c != ' ') base += c;
  }
  const std::string_view head = name.substr(0, tilde);
  const bool by_letters = head == std::string_view(base).substr(0, tilde) && (tilde == 6 || base.size() <= tilde);
  const bool by_hash = tilde == 6 && base.size() >= 2 && head.substr(0, 2) == std::string_view(base).substr(0, 2) &&
                       head.substr(2).find_first_not_of("0123456789abcdef") == std::string_view::npos;
  const std::string_view found = digits < after.size() ? after.substr(digits + 1) : std::string_view();
  return (by_letters || by_hash) && found == extension.substr(0, 3);
}

}  // namespace bulkhead::trust
