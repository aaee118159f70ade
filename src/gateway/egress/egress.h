// gateway/egress/: the side of the gateway that dials out and holds one credential (or none).
//
//   egress.h         this file: what is put together, and the whole in one class
//   egress_main.cc   the process
//   lane_session.h   one lane: one exchange after another, request up and response down at once
//   tunnel.h         one lane that carries an opaque connection
//   websocket.h      what a lane becomes when a server agrees to a WebSocket
//   frames.h         a lane's frames
//   permit.h         may it go up? the grants judged again, budgets counted
//   response.h       what of a response's head reaches the workload
//   answer.h         what a grant's [grant.response] makes of an answer
//   redirect.h       redirects that egress follows itself
//   login.h          an agent's login, and how it is refreshed
//   issued.h         values that servers hand out during the session
//   sign.h           requests signed anew, where that is how the credential is carried
//   scrub.h          the credential taken out of what comes back
//   dial.h           resolve once, check every address, connect, TLS
//   upstream_proxy.h the proxy that the network wants, where there is one
//   resolver.h       names -> addresses (c-ares)
//   own_addresses.h  which addresses are this machine's
//   connection.h     one connection: TCP, or TLS over it
//   pool.h           idle connections, and deadlines for all of them
//   trust.h          whom TLS trusts
//   context.h        what the lanes share
//   limits.h         every limit
//
// One thread, one event loop. A hostile upstream is parsed here, by gateway/http; a flaw in that costs this one
// process's credential, and the process has no files, no exec and no other secret (base/confine.h).
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "credential/login.h"
#include "credential/secret.h"
#include "evidence/evidence.h"
#include "gateway/egress/dial.h"
#include "gateway/egress/limits.h"
#include "gateway/gateway.h"

namespace bulkhead::egress {

struct Parts {
  UniqueFd control;     // SEQPACKET from front: {"type":"lane"} + one descriptor each
  UniqueFd supervisor;  // SEQPACKET; once the egress has started: gateway/update.h
  UniqueFd evidence;    // SEQPACKET to the writer
  UniqueFd ca_bundle;   // the system's, PEM; may be -1
  std::vector<UniqueFd> upstream_ca;
  AddressCheck address_check;  // which resolved addresses may be dialled
  Timeouts timeouts;
  std::size_t max_lanes = egress::max_lanes;
  // Called once, when the gateway must stop: control, supervisor or evidence is gone, or a message was malformed.
  std::function<void(const std::string& why)> stop;
};

class Egress {
 public:
  // Opens no file afterwards. `io` outlives the Egress.
  static Result<std::unique_ptr<Egress>> create(boost::asio::io_context& io, EgressConfig config, Parts parts);
  ~Egress();
  Egress(const Egress&) = delete;
  Egress& operator=(const Egress&) = delete;

  // The credential's real value, before start(). Fails when it can't be carried in the slot.
  Result<void> give(const Secret& secret);
  // Of a credential that is a login: its first tokens, and the socket they came on (credential/login_messages.h).
  Result<void> give_login(LoginTokens tokens, UniqueFd socket);
  // The proxy's credential, likewise.
  Result<void> give_proxy(const Secret& secret);

  // Begins to accept lanes and to watch the three sockets; returns at once, io.run() does the work.
  void start();

 private:
  struct Impl;
  explicit Egress(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::egress
