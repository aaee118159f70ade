#include "gateway/grant/host.h"

#include <charconv>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead::grant {

std::optional<std::string> canonical_host(std::string_view host) {
  if (host.size() > 255) return std::nullopt;
  std::string lower = lower_ascii(host);
  const bool bracketed = lower.size() > 2 && lower.front() == '[' && lower.back() == ']';
  const std::string_view bare = bracketed ? without_brackets(lower) : std::string_view(lower);
  // The policy's own check, so that what a grant can name and what a request may name are the same
  // words.
  if (bare.find('*') != std::string::npos || !check_host(bare)) return std::nullopt;
  if ((bare.find(':') != std::string::npos) != bracketed) return std::nullopt;
  return lower;
}

std::optional<Authority> parse_authority(std::string_view value) {
  Authority out;
  const std::size_t bracket = value.rfind(']');
  const std::size_t colon = value.rfind(':');
  std::string_view name = value;
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    name = value.substr(0, colon);
    const std::string_view digits = value.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
    if (!whole || port == 0 || digits.front() == '0') return std::nullopt;
    out.port = port;
  }
  auto host = canonical_host(name);
  if (!host) return std::nullopt;
  out.host = std::move(*host);
  return out;
}

std::string_view without_brackets(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  return host;
}

bool host_matches(std::string_view pattern, std::string_view host) {
  host = without_brackets(host);
  if (!pattern.starts_with("*.")) return pattern == host;
  const std::string_view suffix = pattern.substr(1);  // ".example.com"
  if (host.size() <= suffix.size() || !host.ends_with(suffix)) return false;
  const std::string_view label = host.substr(0, host.size() - suffix.size());
  return label.find('.') == std::string_view::npos && !label.starts_with("xn--");
}

bool any_host_matches(const std::vector<std::string>& patterns, std::string_view host) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& pattern) { return host_matches(pattern, host); });
}

bool by_wildcard_only(const std::vector<std::string>& patterns, std::string_view host) {
  return std::none_of(patterns.begin(), patterns.end(),
                      [&](const auto& pattern) { return !pattern.starts_with("*.") && host_matches(pattern, host); });
}

}  // namespace bulkhead::grant
