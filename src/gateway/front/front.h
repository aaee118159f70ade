// gateway/front/: the side of the gateway that faces the workload. Holds the room's listening
// sockets, the session's CA key and the tokens; never a secret.
//
//   front.h        this file: what is put together, and the whole in one class
//   shared.h       what the connections of one front share
//   connection.h   one connection: what does it speak, TLS, one request after another, each judged
//   exchange.h     one allowed request: up to egress and down again, both at once
//   judge.h        from a request's head to the verdict, and what is recorded and told of it
//   h2_connection.h  a connection that speaks HTTP/2; h2_exchange.h one of its requests
//   questions.h    requests that wait while the person is asked; held.h one of them
//   withdrawn.h    what is said of a request whose grant is gone
//   egress_lane.h  front's end of a lane
//   answer.h       the answers front gives itself
//   denied.h       what the person is told about denials
//   dns_server.h   the DNS sockets; dns.h the answers, names.h an address for every name
//   tunnel.h       one opaque connection that a tcp grant allows
//   proxy.h        the proxy port: CONNECT and SOCKS 5
//   ssh.h          what port 22 says
//   stream.h       bytes of one connection, plain or TLS, every wait bounded; input.h, io.h what it
//   stands on limits.h       every limit
//
// One thread, one event loop. The workload is parsed here, by gateway/http and OpenSSL; a flaw in
// that costs the session's own CA and tokens, and the process has no files, no network and no exec
// (base/confine.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/front/io.h"
#include "gateway/front/limits.h"
#include "gateway/gateway.h"
#include "gateway/tls/ca.h"

namespace bulkhead::front {

struct Parts {
  std::vector<UniqueFd> listeners;  // in the order of FrontConfig::listeners
  std::vector<UniqueFd> egress;     // in the order of FrontConfig::egress
  UniqueFd supervisor;              // SEQPACKET; denials go there, gateway/update.h comes from there
  UniqueFd evidence;                // SEQPACKET to the writer
  std::optional<tls::SessionCa> ca;
  // Called once, when the gateway must stop: supervisor, evidence or an egress is gone.
  std::function<void(const std::string& why)> stop;
};

class Front {
 public:
  // Everything in Parts has to be there. Opens no file afterwards.
  static Result<std::unique_ptr<Front>> create(asio::io_context& io, FrontConfig config, Parts parts,
                                               Limits limits = {});
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  // Begins to serve; returns at once, io.run() does the work.
  void start();

 private:
  struct Impl;
  explicit Front(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::front
