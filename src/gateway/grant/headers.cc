#include "gateway/grant/headers.h"

#include <algorithm>
#include <array>

#include "gateway/grant/carrier.h"

namespace bulkhead::grant {
namespace {

using namespace std::string_view_literals;

constexpr std::array everyday{"accept"sv,
                              "accept-charset"sv,
                              "accept-datetime"sv,
                              "accept-encoding"sv,
                              "accept-language"sv,
                              "cache-control"sv,
                              "content-digest"sv,
                              "content-disposition"sv,
                              "content-encoding"sv,
                              "content-language"sv,
                              "content-length"sv,
                              "content-md5"sv,
                              "content-type"sv,
                              "date"sv,
                              "digest"sv,
                              "dnt"sv,
                              "expect"sv,
                              "host"sv,
                              "idempotency-key"sv,
                              "if-match"sv,
                              "if-modified-since"sv,
                              "if-none-match"sv,
                              "if-range"sv,
                              "if-unmodified-since"sv,
                              "last-event-id"sv,  // where an event stream goes on
                              "origin"sv,
                              "pragma"sv,
                              "prefer"sv,
                              "priority"sv,
                              "range"sv,
                              "referer"sv,
                              "repr-digest"sv,
                              "save-data"sv,
                              "sec-gpc"sv,
                              "traceparent"sv,
                              "tracestate"sv,
                              "upgrade-insecure-requests"sv,
                              "user-agent"sv,
                              "want-content-digest"sv,
                              "want-digest"sv,
                              "x-correlation-id"sv,
                              "x-request-id"sv,
                              "x-requested-with"sv};

}  // namespace

bool everyday_header(std::string_view folded) {
  return std::binary_search(everyday.begin(), everyday.end(), folded) || folded.starts_with("sec-fetch-") ||
         folded.starts_with("sec-ch-");
}

bool header_listed(const Rule& rule, std::string_view name) {
  std::string scratch, other;
  const std::string_view folded = folded_name(name, scratch);
  if (everyday_header(folded)) return true;
  return std::any_of(rule.headers.begin(), rule.headers.end(), [&](const std::string& listed) {
    if (listed == "*") return true;
    if (!listed.ends_with('*')) return folded_name(listed, other) == folded;
    const std::string start = listed.substr(0, listed.size() - 1);
    return folded.starts_with(folded_name(start, other));
  });
}

}  // namespace bulkhead::grant
