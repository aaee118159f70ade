// evidence/: what happened, in a form that can be checked later. `bulkhead-evidence` is the only process that
// holds the log's descriptor; everyone else holds one end of a SEQPACKET socket to it and is known by that
// socket, never by what it says.
//
//   evidence.h      this file: what an event is, and the client side (Recorder)
//   event_text.h    an event as JSON, for what is recorded often
//   event.h         the list of event types and their fields (docs/formats.md shows them)
//   event_reader.h  what a source sent, read strictly and written anew
//   log.h           numbering, time, sync, the reserve for a full disk
//   writer.h        the writer's loop
//   evidence_main.cc  the process
//
// A line of the log is one JSON object, keys in this order first, then the event's own:
//   {"v":1,"seq":7,"time":"2026-01-02T03:04:05.678901Z","session":"…","source":"front","type":"http.request",…}
// Lines are the leaves of the Merkle tree that the evidence issue adds: raw bytes without the newline, never
// rewritten, so that leaf hashes stay valid.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/event_text.h"

namespace bulkhead::evidence {

// A component's way to the writer. Not thread-safe (one thread a process).
class Recorder {
 public:
  explicit Recorder(UniqueFd socket) : socket_(std::move(socket)) {}

  // Queues the event with the writer (it reaches the disk within 200 ms). `fields` is an object without
  // the reserved keys v, seq, time, session, source, type. An error means evidence is gone: stop acting.
  Result<void> record(std::string_view type, const nlohmann::json& fields);
  // The same for what happens often.
  Result<void> record(const Event& event);

  // As above, and returns only once the event is on the disk (fdatasync). For what must not happen
  // unrecorded: start, end, credential release, policy.
  Result<void> record_and_sync(std::string_view type, const nlohmann::json& fields);
  // The two halves of record_and_sync, for callers that have other work meanwhile. One outstanding at a time.
  Result<void> begin_sync(std::string_view type, const nlohmann::json& fields);
  Result<void> finish_sync();

  int socket() const { return socket_.get(); }

 private:
  UniqueFd socket_;
};

}  // namespace bulkhead::evidence
