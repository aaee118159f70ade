// gateway/: the host side of the room. Two kinds of processes, each confined before its first hostile byte:
//
//   front   (bulkhead-front)   one per session. Holds the room's listening sockets and the session's CA key.
//                              Ends TLS, answers DNS, judges each request against the grants. Knows tokens,
//                              never a secret; has no network of its own, no files, no exec.
//   egress  (bulkhead-egress)  one per credential and one, named "", without any. Gets requests that front
//                              allowed over a lane, judges them again, puts its credential in, resolves once,
//                              dials that address, verifies TLS, scrubs the credential from what comes back.
//
//   grant/   pure judgement: names, paths, carriers, budgets. Used by both.
//   http/    the strict gate, Beast behind it, serialising from scratch
//   websocket/  WebSocket's frames and opening handshake
//   tls/     the session's CA, leaves, server and client contexts
//
// What the supervisor tells each: the structs below, as one JSON message on descriptor 3 with descriptors
// attached in the order the struct says. Descriptor 4 is the way to evidence (evidence/evidence.h).
// Descriptor 2 is a pipe the supervisor reads: whatever a helper prints there is for people.
// When 3 or 4 closes, the helper exits at once: without a supervisor or evidence there is no gateway.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

// Where the room answers as a proxy, for tools that want one (front/proxy.h). At any address, as everything.
inline constexpr std::uint16_t proxy_port = 3128;

// A listening socket of the room. `stream`: TCP accept; otherwise UDP (DNS only).
struct Listener {
  std::uint16_t port = 0;
  bool stream = true;
  bool ipv6 = false;
};

// What the workload holds instead of a secret. `token` is what it finds in its environment
// (expose_prefix included); `real` never appears here.
struct TokenSlot {
  std::string credential;
  std::string token;
  Credential::Carrier carrier = Credential::Carrier::header;
  std::string header;
  std::string basic_user;
  // Carrier::sigv4: `token` is the session's access key id, and this the secret key it signs with.
  std::string signing_key = {}, region = {}, service = {};
  // The credential's values are handed out by servers (Credential::Source::answer): the slot holds `token`, a dash and
  // the number of one of them, and egress is given no secret at the start.
  bool issued = false;
  // Of a login (Credential::Source::login), which is `issued` too: what the workload holds in place of the refresh
  // token, good in the body of a refresh alone; and whether its access tokens look like JWTs, whose third part is
  // then what stands above.
  std::string refresh = {};
  bool jwt = false;
};

// supervisor -> front. Descriptors: one per listener, in order, then one SEQPACKET socket per egress, in order.
struct FrontConfig {
  std::string session;
  std::vector<Listener> listeners;
  std::vector<std::string> egress;  // credential names in the order of the sockets; "" = without credential
  std::vector<Grant> grants;
  std::vector<TokenSlot> tokens;
  bool ask = false;  // about requests that no grant allows (question.h)
};
// Before it is told anything front writes its CA, which is to be put before the workload's tools, to two pipes: in PEM
// to descriptor 5, as a Java trust store to descriptor 6.
// front -> supervisor, once it is confined and serves:
//   {"type":"ready"}
// and whenever something new was denied (deduplicated and bounded by front):
//   {"type":"denied","count":N,"what":"GET https://example.com/x","why":"no grant","add":"[[grant]] …"}
// All strings in it may be hostile text: escape before showing.

// From then on the supervisor may say which grants hold now: gateway/update.h. With `ask`, requests that no grant
// allows wait while the person is asked: gateway/question.h.

// What egress knows of the way out.
struct EgressProxy {
  Upstream upstream;
  TokenSlot slot;                      // how its credential is carried; no token stands for it anywhere
  bool environment_names_one = false;  // HTTPS_PROXY or the like is set where the session was started
};

// supervisor -> egress. Descriptors: [0] the lanes' control socket from front (SEQPACKET), [1] the system's
// CA bundle opened read-only, then one per upstream_ca file, then, with a credential that has a value of its own, the
// socket on which that comes (credential/handover.h): once the start of the session is on the disk, and then the
// process is confined. Last, where the proxy asks for a credential, the socket for that.
struct EgressConfig {
  std::string session;
  std::string credential;                // name, "" = none
  TokenSlot slot;                        // meaningful when credential is not empty
  std::vector<Grant> grants;             // only those of this credential
  std::vector<std::string> dns_servers;  // "ADDRESS[:PORT]"; never empty
  std::size_t upstream_ca = 0;           // number of extra CA descriptors
  EgressProxy proxy = {};
  std::optional<Login> login = std::nullopt;  // then the credential's socket is that of bulkhead-login, and stays open
};
// egress -> supervisor, once it serves: {"type":"ready"}

nlohmann::json to_json(const TokenSlot& slot);
Result<TokenSlot> slot_from(const nlohmann::json& object);
nlohmann::json to_json(const FrontConfig& config);
nlohmann::json to_json(const EgressConfig& config);
Result<FrontConfig> front_config_from(const nlohmann::json& object);
Result<EgressConfig> egress_config_from(const nlohmann::json& object);

// Lanes. front makes a SOCK_STREAM socketpair per lane and sends one end over the egress control socket
// (message {"type":"lane"} + 1 descriptor). A lane carries exchanges one after another; the kernel's socket
// buffer is the back-pressure. Frame: u8 kind, u32 little-endian payload length, payload. See lane.h.
}  // namespace bulkhead
