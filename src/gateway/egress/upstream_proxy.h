// The proxy between egress and everything outside, where the policy names one ([upstream]). It is asked for nothing but
// CONNECT, whatever the protocol: what goes through is ours and the upstream's alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "credential/secret.h"
#include "gateway/egress/connection.h"
#include "gateway/egress/scrub.h"
#include "gateway/gateway.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

class UpstreamProxy {
 public:
  explicit UpstreamProxy(EgressProxy config) : config_(std::move(config)) {}

  bool used() const { return !config_.upstream.proxy_host.empty(); }
  const Upstream& policy() const { return config_.upstream; }
  bool asks_for_credential() const { return !config_.upstream.credential.empty(); }
  const TokenSlot& slot() const { return config_.slot; }
  // What is taken out of answers that it could have written itself: those without TLS.
  Patterns patterns() const { return {secret_, config_.slot}; }
  void add_to(Patterns& patterns) const { patterns.add(secret_, config_.slot); }

  // The credential's real value, before the first dial.
  Result<void> give(const Secret& secret);
  // It is not needed again.
  void forget() {
    secret_ = Secret();
    authorization_ = Secret();
  }

  // Is `host` (canonical) reached through it? Else it is dialled directly.
  bool carries(std::string_view host) const;
  std::string name() const;  // HOST:PORT, for people and evidence
  // When a direct dial failed, and this machine's own settings name a proxy that nobody told us about: what to do.
  std::string hint() const;

  // CONNECT to `authority` on a new connection to the proxy. The answer is read to its head's end and not a byte
  // further; `server_speaks_first`: what follows at once may be the upstream's, else it is refused. All of it takes
  // `limit` at most.
  struct Refused {
    lane::Failure failure;
    bool of_this_address = false;  // another of the same name may do
  };
  boost::asio::awaitable<tl::expected<void, Refused>> connect(Connection& connection, std::string authority,
                                                              bool server_speaks_first,
                                                              std::chrono::milliseconds limit) const;

 private:
  const EgressProxy config_;
  Secret secret_, authorization_;
};

}  // namespace bulkhead::egress
