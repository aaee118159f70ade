#include "evidence/event.h"

#include <algorithm>
#include <array>

namespace bulkhead::evidence {

namespace {
constexpr std::array events = {
    EventType{"session.start", "supervisor", "tier, command, workspace, profile, uid, missing[]",
              "A session begins; `missing` names the guarantees this machine can't give"},
    EventType{"session.policy", "supervisor", "policy, sources[]",
              "The policy in force, layers merged, and the files it came from"},
    EventType{"session.end", "supervisor", "exit_status, signal, reason, seconds",
              "The workload is gone and why: exited, signal, stopped, limit, or which helper died"},
    EventType{"session.lost", "evidence", "-", "The supervisor vanished without a session.end"},
    EventType{"credential.release", "supervisor", "credential, read_from, to",
              "A secret was read on the host and given to its egress; never the value"},
    EventType{"credential.use", "egress", "grant, host, port, credential",
              "The session's token was exchanged for the secret in one request"},
    EventType{
        "http.request", "front",
        "method, scheme, host, port, path, grant, decision, rule, status, bytes_up, bytes_down, ms",
        "A request that ended; `decision` is allow or deny, `rule` why (`ended`: the session ended before the request "
        "did)"},
    EventType{"net.refused", "front", "port, address, name, what",
              "A connection that was answered only to refuse it (no TLS, SSH, unknown name…)"},
    EventType{"ipc.refused", "supervisor", "what",
              "A connection to a unix socket of the host's, seen in a mounted folder, was refused"},
    EventType{"dns.query", "front", "name, kind", "A new name was asked for; it was answered locally"},
    EventType{"upstream.request", "egress", "grant, host, port, address, status, tls, reused, bytes_up, bytes_down",
              "A request that went out and was answered: which address was dialled, by which TLS version"},
    EventType{"upstream.failure", "egress", "grant, host, port, reason, text",
              "An allowed request could not be carried out: resolve, address, connect, tls, protocol, json (its body "
              "says what the "
              "rule does not allow), ended (the session did)…"},
    EventType{"evidence.rejected", "evidence", "from, reason",
              "A component sent something that is no event: a defect, or a component taken over"},
    EventType{"evidence.no_reserve", "evidence", "reason",
              "The file system can't reserve space, so a full disk could cost the end of the record"},
    EventType{"evidence.full", "evidence", "reason",
              "The disk is full or failing: from here on only the session's end is recorded"},
};
}  // namespace

std::span<const EventType> event_types() {
  return events;
}

bool valid_type(std::string_view type) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'; };
  return !type.empty() && type.size() <= 64 && type.front() >= 'a' && type.front() <= 'z' &&
         std::ranges::all_of(type, allowed);
}

std::string event_table_markdown() {
  std::string out = "| type | from | fields | meaning |\n|---|---|---|---|\n";
  for (const EventType& event : events) {
    out += "| `" + std::string(event.type) + "` | " + std::string(event.source) + " | " + std::string(event.fields) +
           " | " + std::string(event.meaning) + " |\n";
  }
  return out;
}

}  // namespace bulkhead::evidence
