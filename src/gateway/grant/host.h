// Host names and addresses in their one canonical spelling. Whatever could name another host to
// another parser (0x7f.1, 127.1, a trailing dot, a percent sign, userinfo) has no canonical form
// and is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::grant {

// Lower case; a name, a dotted IPv4 address, or an IPv6 address in brackets as inet_ntop(3) writes
// it. nullopt: none.
std::optional<std::string> canonical_host(std::string_view host);

struct Authority {
  std::string host;  // canonical
  std::optional<std::uint16_t> port;
};
// A Host header's value.
std::optional<Authority> parse_authority(std::string_view value);

// `pattern` as in Grant::host: exact, or `*.` for exactly one more label, which is never an `xn--`
// one (attack N10: look-alikes only where a grant spells them out). `host` is canonical; brackets
// of an IPv6 address are not part of a pattern.
bool host_matches(std::string_view pattern, std::string_view host);
// Grant::hosts.
bool any_host_matches(const std::vector<std::string>& patterns, std::string_view host);
// Does only a wildcard of them match it? Then its first label is data for whoever runs the zone (attack D08).
bool by_wildcard_only(const std::vector<std::string>& patterns, std::string_view host);

// As in a policy: without the brackets.
std::string_view without_brackets(std::string_view host);

}  // namespace bulkhead::grant
