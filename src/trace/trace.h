// trace/: what the workload's kernel tells of the processes inside, put into the session's record.
//
// gVisor's sentry connects to a socket in the session's stage and sends a datagram for each process that begins,
// executes a program or ends, each file that is opened and each connection; a virtual machine says the same over a
// stream. That kernel is what the workload would take over first, so its words are a stranger's: bulkhead-trace reads
// them, a process that has that socket, a way to evidence and nothing else. One that was taken over can lie or leave
// things out; it can't reach what is recorded already, and what it sends that makes no sense ends the session, as does
// its hanging up.
//
//   trace.h       this file: the process
//   teller.h      one that tells: sentry.h (gVisor's), machine.h (guest/record.h)
//   points.proto  gVisor's messages, as far as they are read
//   decode.h      what happened; a datagram of gVisor's -> that, strictly
//   lineage.h     who made whom, and what runs in it
//   pace.h        how much of it is recorded
//   events.h      what happened -> an event
//
// Descriptor 3 is the supervisor, 4 evidence, 5 a socket on which the tier hands over another:
//   tier -> trace: `.` and the socket that gVisor will connect to, or `m` and a machine's stream
//   trace -> supervisor: {"type":"ready"}, once that has greeted and this process is confined
// Descriptor 3 closing is the session's end.
#pragma once

#include <chrono>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/evidence.h"
#include "trace/pace.h"
#include "trace/teller.h"

namespace bulkhead::trace {

// Tests bring their own.
struct Limits {
  Pace::Limits pace = {};
  std::chrono::milliseconds report_each{1000};   // how often it is said what was left out
  std::chrono::milliseconds silence_ends{2000};  // from the teller's hanging up to the session's end
};

// Records until the supervisor is gone. An error means that evidence is, or who tells, or that it makes no sense.
Result<void> serve(int supervisor, std::unique_ptr<Teller> teller, evidence::Recorder recorder, const Limits& limits);

}  // namespace bulkhead::trace
