// trace/: what gVisor tells of the processes inside, put into the session's record.
//
// gVisor's sentry connects to a socket in the session's stage and sends a datagram for each process that begins,
// executes a program or ends, each file that is opened and each connection. The sentry is what the workload would take
// over first, so its words are a stranger's: bulkhead-trace reads them, a process that has that socket, a way to
// evidence and nothing else. A sentry that was taken over can lie or leave things out; it can't reach what is recorded
// already, and what it sends that makes no sense ends the session, as does its falling silent.
//
//   trace.h       this file: the process
//   points.proto  gVisor's messages, as far as they are read
//   decode.h      a datagram -> what happened, strictly
//   lineage.h     who made whom, and what runs in it
//   pace.h        how much of it is recorded
//   events.h      what happened -> an event
//
// Descriptor 3 is the supervisor, 4 evidence, 5 a socket on which the tier hands over the listening one:
//   tier -> trace: one byte, and the socket that gVisor will connect to
//   trace -> supervisor: {"type":"ready"}, once gVisor has connected and this process is confined
// Descriptor 3 closing is the session's end.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/evidence.h"
#include "trace/pace.h"

namespace bulkhead::trace {

// Tests bring their own.
struct Limits {
  Pace::Limits pace = {};
  std::chrono::milliseconds report_each{1000};   // how often it is said what was left out
  std::chrono::milliseconds silence_ends{2000};  // from the sentry's hanging up to the session's end
};

// Waits for gVisor to connect to `listener`, and answers its greeting (google/gvisor, seccheck's README.md). Unset: the
// supervisor was gone before that.
Result<UniqueFd> greet(int supervisor, UniqueFd listener);

// Records until the supervisor is gone. An error means that evidence is, or gVisor, or that it makes no sense.
Result<void> serve(int supervisor, UniqueFd sentry, evidence::Recorder recorder, const Limits& limits);

}  // namespace bulkhead::trace
