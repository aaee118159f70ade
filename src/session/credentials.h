// The session's credentials: the tokens that stand for them, and which grants stay closed because an optional
// credential has no source on this machine. The secrets themselves are read by a process of its own (credential/),
// which gives each straight to its egress; they are never in this one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/process.h"
#include "credential/credential.h"
#include "gateway/gateway.h"
#include "policy/policy.h"
#include "session/identity.h"

namespace bulkhead::session {

struct Credentials {
  std::vector<TokenSlot> tokens;
  std::map<std::string, UniqueFd> sockets;  // by credential: where its egress gets the secret from
  std::vector<UniqueFd> proxy_sockets;      // one for each egress: where it gets the proxy's from
  std::vector<std::string> closed;          // one line each: optional credentials that are not here
  std::vector<std::string> notes;           // one line each: worth a warning
};

class CredentialReader {
 public:
  // Starts it, with the caller's environment and privileges, on every credential that some grant uses. Where there is
  // none it does nothing, and neither does the rest. The value of each `env:` variable is wiped from this process.
  static Result<CredentialReader> start(const Policy& policy, const Identity& identity);

  // Waits until all are read, makes their tokens, and takes the grants of missing optional ones out of `policy`. A
  // missing credential that is not optional is an error. `signals`: a signalfd; what comes there ends the wait.
  Result<Credentials> finish(Policy& policy, int signals);

  // The values go to their egress.
  Result<void> release();

  // For poll(2), -1 when there is nothing to wait for.
  int pidfd() const { return child_ ? child_.pidfd() : -1; }
  // It has ended. An error: before its time, or badly.
  Result<void> ended();

 private:
  Child child_;
  UniqueFd control_;  // before child_ goes: it may not be ours to kill, and ends when this closes
  std::vector<std::string> names_;
  std::map<std::string, UniqueFd> sockets_;
  std::vector<UniqueFd> proxy_sockets_;
  bool released_ = false;
};

// Overwrites the variables that `policy` reads secrets from in this process's own environment.
void wipe_environment(const Policy& policy);

}  // namespace bulkhead::session
