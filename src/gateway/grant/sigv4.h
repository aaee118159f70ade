// AWS Signature Version 4, as a slot: the workload signs with the session's own key pair, egress checks that and signs
// anew with the real one. Source: AWS IAM User Guide, "Signature Version 4 for API requests" (Create a signed request);
// for S3, API Reference, "Authenticating Requests" (payload options, canonical paths). HMAC and SHA are OpenSSL's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "gateway/gateway.h"
#include "gateway/lane.h"

namespace bulkhead::grant::sigv4 {

inline constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";
// aws-chunked, with a checksum behind the body; nothing in it is signed.
inline constexpr std::string_view unsigned_trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

// Authorization: AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX
struct Authorization {
  std::string key_id, date, region, service;
  std::vector<std::string> signed_headers;  // sorted, lower case, each once, `host` among them
  std::string signature;                    // 64 hex digits
};
// The error is for people: what it is instead, and what to set where a client can do otherwise.
tl::expected<Authorization, std::string> parse(std::string_view value);

struct Refused {
  std::string reason, text;  // Decision::reason and ::text
};
// Does a head carry a signature by the session's pair, for the slot's region and service? Not yet whether it is right:
// that takes the body's hash. `authorization` is the header's value.
std::optional<Refused> judge_head(std::string_view authorization, const lane::Headers& headers, const TokenSlot& slot);

// Headers that are part of every signed request, beside Authorization.
bool belongs(std::string_view name);

// What is signed. `headers`: those that are, sorted, lower case, as they travel.
struct Signed {
  std::string_view method, target;
  lane::Headers headers;
  std::string_view payload;  // the body's hash in hex, or one of the words above
};
// nullopt: the target has no canonical form (a broken percent escape).
std::optional<std::string> canonical_request(const Signed& request, std::string_view service);

// `time`: 20260102T030405Z. The signature in hex.
std::string sign(std::string_view secret_key, std::string_view time, std::string_view region, std::string_view service,
                 std::string_view canonical_request);

// In constant time.
bool equal(std::string_view a, std::string_view b);

bool is_sha256_hex(std::string_view text);

}  // namespace bulkhead::grant::sigv4
