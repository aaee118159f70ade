// gateway/grant/: may this request go out? Pure functions over plain data, no I/O; front and egress
// both ask, each with its own copy of the grants. Refuses when unsure; repairs nothing.
//
//   grant.h     judge() and the types (this file)
//   host.h      canonical host names and address literals
//   target.h    canonical paths and queries, templates
//   carrier.h   every place a credential can hide in a head
//   headers.h   which request headers a rule lets through
//   git_push.h  which refs a push may change; pkt_line.h: git's framing
//   sigv4.h     AWS signatures: what is signed, and with what
//   address.h   which resolved addresses may be dialled
//   json_body.h what a body in JSON may say; json_redact.h: values taken out of an answer
//   budget.h    counters against a Budget
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/gateway.h"
#include "gateway/lane.h"

namespace bulkhead::grant {

// A request as the strict gate let it through. Header names lower case, values trimmed, in order.
struct RequestHead {
  std::string method;
  std::string scheme;  // "https" or "http": what the connection was; "wss" or "ws": what it is to become
  std::string host;    // canonical (see host.h), from Host; front has checked it against SNI
  std::uint16_t port = 0;
  std::string target;  // origin-form as received
  lane::Headers headers;
  lane::BodyKind body = lane::BodyKind::none;
  std::uint64_t body_length = 0;
  bool http2 = false;  // how it came
};

enum class Verdict { allow, deny };

struct Decision {
  Verdict verdict = Verdict::deny;
  std::uint16_t status = 403;  // to answer when denied: 400, 403, 405, 413, 421, 429
  // Stable word for evidence: "no-grant", "method", "path", "query", "header", "carrier", "foreign-credential",
  // "content-type", "body", "budget", "override", "non-canonical", "http2", …
  std::string reason;
  std::string text;  // one line for people: what was refused and why
  // The TOML that would allow it, or empty where none should: a foreign credential, another request in disguise, an
  // address no name may lead to.
  std::string add;
  const Grant* grant = nullptr;
  const Rule* rule = nullptr;
  bool slot_filled = false;  // the grant's slot held exactly the session's token
  std::uint32_t issued = 0;  // … and this number: which of the values servers handed out (TokenSlot::issued)
};

// Which of `grants` allows this head? `tokens` are this session's. The body is not judged here
// beyond its framing and declared length.
Decision judge(const std::vector<Grant>& grants, const std::vector<TokenSlot>& tokens, const RequestHead& head);

// Which of `grants` allows an opaque connection (protocol tcp) to `host` (canonical) on `port`? Nothing of what passes
// is judged, so it is allowed by name and port alone.
Decision judge_tunnel(const std::vector<Grant>& grants, const std::string& host, std::uint16_t port);

// Does a rule have to list this header (lower case) for the request to be allowed? Not what is everyday, is never
// forwarded, or can carry a credential and has a verdict of its own.
bool needs_listing(std::string_view name);

// The headers that may go upstream: what judge() allowed minus hop-by-hop, Connection-listed,
// forwarding and override headers, the credential slot (a signature stays: egress checks it and makes its own), Host
// and framing.
lane::Headers upstream_headers(const RequestHead& head, const TokenSlot* slot);

}  // namespace bulkhead::grant
