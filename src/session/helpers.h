// The session's helper processes: evidence, front and one egress per credential. Each is started with an empty
// environment and waits for its configuration on descriptor 3.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/sys.h"
#include "evidence/evidence.h"
#include "gateway/gateway.h"
#include "policy/policy.h"
#include "room/room.h"
#include "session/credentials.h"

namespace bulkhead::session {

struct Helper {
  std::string name;    // "evidence", "front", "egress", "egress anthropic": for messages
  std::string source;  // as evidence knows it: "front", "egress:anthropic"
  Child child;
  UniqueFd control;   // SEQPACKET, its descriptor 3
  UniqueFd messages;  // what it prints
  UniqueFd evidence;  // its way to evidence, until evidence has it
  std::string printed;
};

// What has to be opened while files can still be opened with the caller's privileges.
struct HelperFiles {
  UniqueFd evidence, front, egress;  // programs
  UniqueFd relay, keep, trace;       // where ports are published; where a mount is served; where processes are recorded
  UniqueFd changes;                  // where changes of files are recorded
  UniqueFd ca_bundle;
  std::vector<UniqueFd> upstream_ca;
  std::vector<std::string> dns_servers;
};
Result<HelperFiles> open_helper_files(const Policy& policy);

// Which egress processes there are: one for each credential that a grant uses, "" for those without.
std::vector<std::string> needed_egress(const Policy& policy);

struct Helpers {
  Helper evidence, front;
  std::vector<Helper> egress;
  std::vector<std::string> egress_credentials;  // "" = without credential; same order as egress
  std::optional<Helper> relay;                  // where ports are published
  std::optional<Helper> trace;                  // where processes are recorded
  std::optional<Helper> changes;                // where changes of files are recorded
  std::vector<Helper> keeps;                    // one for each mount that is served (kept.h)
  std::vector<Helper> logins;                   // one for each agent's login (logins.h)
  std::vector<sys::Pair> lanes;                 // front's and egress's ends, until both have theirs
  UniqueFd supervisor_evidence;                 // the supervisor's own way to evidence

  std::vector<Helper*> all();
};

// Where front writes the session's CA to (gateway/gateway.h).
struct CaPipes {
  UniqueFd pem, java;
};

// What is told of the processes inside comes by this socket.
Result<void> start_trace(Helpers& helpers, const HelperFiles& files, int told);
// A mount in which changes are recorded.
struct Changing {
  std::string target;
  UniqueFd top;
};
Result<void> start_changes(Helpers& helpers, const HelperFiles& files, const std::vector<Changing>& mounts);
// Execs them all, first those that have most to do before they can serve. None has been told anything but the session.
Result<Helpers> start_helpers(const HelperFiles& files, const Policy& policy, const std::string& session, CaPipes ca);
// Holds the file of one login, in `folder`; it is still to be told which (logins.h).
Result<Helper> start_login(const UniqueFd& program, const std::string& name, int folder);
// Ends egress processes that have no grant any more: their optional credential is not on this
// machine.
void drop_idle_egress(Helpers& helpers, const Policy& policy);

// The order is free but for evidence first.
Result<void> configure_evidence(Helpers& helpers, const std::string& session, UniqueFd log);
Result<void> configure_egress(Helpers& helpers, const std::string& session, const Policy& policy,
                              const HelperFiles& files, Credentials& credentials);
// Serves one live folder: the folder itself, the socket on which the tier hands over the device, the kept folder (or
// -1), and what it is told first (keep/keep_main.cc).
Result<void> start_keep(Helpers& helpers, const HelperFiles& files, const std::string& name, int tree, int device,
                        int kept, const nlohmann::json& about);
// `listeners`: the host's, one for each published port. `beyond_wire`: the servers inside are (broker/publish.h).
Result<void> configure_relay(Helpers& helpers, const Policy& policy, const room::Room& room,
                             std::vector<UniqueFd> listeners, bool beyond_wire);
Result<void> configure_front(Helpers& helpers, const std::string& session, const Policy& policy, const room::Room& room,
                             const Credentials& credentials);

}  // namespace bulkhead::session
