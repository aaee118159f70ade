#include "gateway/egress/response.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace bulkhead::egress {
namespace {

constexpr auto dropped = std::to_array<std::string_view>(
    {// hop-by-hop (RFC 9110 §7.6.1) and framing, which is ours
     "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
     "http2-settings",
     // state in the client
     "set-cookie", "set-cookie2", "alt-svc", "alternate-protocol", "clear-site-data", "strict-transport-security",
     "public-key-pins", "public-key-pins-report-only", "expect-ct", "accept-ch", "critical-ch",
     "service-worker-allowed",
     // reports to third parties
     "nel", "report-to", "reporting-endpoints", "content-security-policy-report-only", "sourcemap", "x-sourcemap",
     // requests that nobody made
     "refresh", "attribution-reporting-register-source", "attribution-reporting-register-trigger"});

std::vector<std::string> listed_in_connection(const lane::Headers& headers) {
  std::vector<std::string> names;
  for (const auto& [name, value] : headers) {
    if (name != "connection") continue;
    for (const std::string& item : split(value, ',')) names.push_back(lower_ascii(trim_blanks(item)));
  }
  return names;
}

// Link is kept where it is only for reading (pagination), which APIs need.
bool makes_client_fetch(std::string_view link) {
  const std::string lower = lower_ascii(link);
  return std::ranges::any_of(std::array{"preload", "prefetch", "preconnect", "prerender", "stylesheet", "expect"},
                             [&](const char* word) { return lower.find(word) != std::string::npos; });
}

bool connection_bound(std::string_view challenge) {
  const std::string lower = lower_ascii(challenge);
  return lower.find("negotiate") != std::string::npos || lower.find("ntlm") != std::string::npos;
}

}  // namespace

lane::Headers downstream_headers(const lane::Headers& received, const Patterns& patterns) {
  const std::vector<std::string> hop = listed_in_connection(received);
  lane::Headers out;
  out.reserve(received.size());
  for (const auto& [name, value] : received) {
    if (name == "link" ? makes_client_fetch(value) : std::ranges::find(dropped, name) != dropped.end()) continue;
    if (name.starts_with("proxy-") || std::ranges::find(hop, name) != hop.end()) continue;
    if (name == "www-authenticate" && connection_bound(value)) continue;
    if (patterns.in_name(name)) continue;
    patterns.scrub(out.emplace_back(name, value).second);
  }
  return out;
}

bool encoded(const lane::Headers& headers) {
  return std::ranges::any_of(headers, [](const auto& header) {
    if (header.first != "content-encoding" && header.first != "grpc-encoding") return false;
    const std::string value = lower_ascii(trim_blanks(header.second));
    return !value.empty() && value != "identity";
  });
}

}  // namespace bulkhead::egress
