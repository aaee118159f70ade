// The writer's loop: sockets in, one log out. It knows a source by its socket; what an event says about
// itself counts for nothing. Single-threaded, poll(2), no exec, no files beyond the log.
//
// On descriptor 3, from the supervisor:
//   {"type":"start","session":ID,"sources":["supervisor","front","egress:","egress:NAME",…]}
//       descriptors: [0] the log (empty, O_APPEND), then one SEQPACKET socket per source, in order
//   {"type":"stop"}    take what is still queued, sync, give the reserve back, answer, exit 0
// and to it:
//   {"type":"ready"}                                  the log stands and the process is confined
//   {"type":"full","reason":"…"}                      once: stop the session, nothing can be recorded any more
//   {"type":"stopped","lines":N,"refused":N}          `refused`: events that came when the log was full
// When descriptor 3 closes without `stop`, the writer adds session.lost (unless session.end stands) and exits.
//
// A source sends one event per datagram, {"type":…, fields…}; with "sync":true it is answered, after
// fdatasync, by {"ok":true,"seq":N} or {"ok":false,"error":"…"}.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ipc.h"
#include "base/result.h"
#include "base/trim.h"
#include "evidence/event_reader.h"
#include "evidence/log.h"

namespace bulkhead::evidence {

struct Start {
  std::string session;
  std::vector<std::string> sources;
  UniqueFd log;
  std::vector<UniqueFd> sockets;  // one per source
};
Result<Start> start_from(ipc::Message message);

class Writer {
 public:
  Writer(UniqueFd supervisor, Log log, std::vector<std::string> names, std::vector<UniqueFd> sockets);
  // Until the supervisor says stop or is gone. The exit status: 0 when the record is whole, 1 otherwise.
  int run();

 private:
  using Clock = std::chrono::steady_clock;

  struct Source {
    std::string name;
    UniqueFd socket;
    double events = 0, bytes = 0;  // what it may still send now (token buckets, full at the start)
    bool throttled() const { return events < 1 || bytes <= 0; }
  };
  struct Waiter {
    std::size_t source;
    std::uint64_t seq;
  };

  void refill();
  int poll_timeout() const;
  // At most `limit` datagrams of one source. True: there may be more.
  bool read_source(std::size_t index, int limit);
  void take(std::size_t index, std::string_view text);
  void reject(std::size_t index, bool sync, const std::string& reason);
  void answer(std::size_t index, const nlohmann::json& object);
  void commit();
  void report_full();
  int finish(bool lost);

  UniqueFd supervisor_;
  Log log_;
  std::vector<Source> sources_;
  std::vector<Waiter> waiters_;
  std::string buffer_;
  EventReader reader_;
  Clock::time_point refilled_, dirty_since_, gather_until_;
  StartupTrim trim_;
  bool was_dirty_ = false, reported_full_ = false, ended_ = false;
  std::uint64_t refused_ = 0;
};

}  // namespace bulkhead::evidence
