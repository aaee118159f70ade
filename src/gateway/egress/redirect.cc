#include "gateway/egress/redirect.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gateway/grant/target.h"

namespace bulkhead::egress {
namespace {

constexpr std::size_t max_target = 8 * 1024;
constexpr std::string_view https = "https://";

// RFC 9110 §15.4: those after which a GET is a GET again.
constexpr std::array<std::uint16_t, 5> statuses{301, 302, 303, 307, 308};

}  // namespace

std::optional<Redirect> redirect_to_follow(const Grant& grant, const lane::Request& request,
                                           const http::ResponseHead& head) {
  if (grant.response.follow.empty() || grant.protocol != Protocol::https) return std::nullopt;
  if (std::ranges::find(statuses, head.status) == statuses.end()) return std::nullopt;
  if ((request.method != "GET" && request.method != "HEAD") || request.body != lane::BodyKind::none) {
    return std::nullopt;
  }
  const auto is_location = [](const auto& header) { return header.first == "location"; };
  if (std::ranges::count_if(head.headers, is_location) != 1) return std::nullopt;
  std::string_view url = std::ranges::find_if(head.headers, is_location)->second;
  if (!url.starts_with(https)) return std::nullopt;
  url.remove_prefix(https.size());
  const std::size_t slash = url.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view target = url.substr(slash);
  const bool plain = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; }) &&
                     target.size() <= max_target;
  if (!plain || !grant::split_target(target)) return std::nullopt;
  // Only what is written exactly as the list has it: no user, no other case, no final dot.
  for (const std::string& host : grant.response.follow) {
    const std::string with_port = host + ":" + std::to_string(grant.port);
    if (url.substr(0, slash) == with_port || (grant.port == 443 && url.substr(0, slash) == host)) {
      return Redirect{host, std::string(target)};
    }
  }
  return std::nullopt;
}

}  // namespace bulkhead::egress
