// What the lanes of one egress share. One thread; outlives every lane.
#pragma once

#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "credential/exchange.h"
#include "evidence/evidence.h"
#include "gateway/egress/dial.h"
#include "gateway/egress/permit.h"
#include "gateway/egress/pool.h"
#include "gateway/egress/scrub.h"
#include "gateway/under_way.h"

namespace bulkhead::egress {

// For co_spawn: what a coroutine throws (memory is out, an invariant broken) ends the process by way of io.run().
inline void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

struct Context {
  boost::asio::io_context& io;
  std::string credential;                  // name, or empty
  std::optional<CredentialHeader> header;  // what goes into the slot
  Patterns patterns;                       // what comes out of answers
  Permits& permits;
  Dialer& dialer;
  Pool& pool;
  evidence::Recorder& recorder;
  std::function<void(const std::string&)> stop;
  std::vector<char> scratch = {};  // transfer bytes, once the first lane has come
  bool stopped = false, ending = false;
  std::size_t lanes = 0;    // open now
  UnderWay under_way = {};  // exchanges that have no record yet
  std::size_t held = 0;     // bytes of bodies that are held, all lanes together

  // False: evidence is gone, and so is this egress; the caller does nothing more.
  bool record(std::string_view type, const nlohmann::json& fields) {
    if (stopped) return false;
    if (auto done = recorder.record(type, fields); !done) {
      halt("evidence: " + done.error().message);
      return false;
    }
    return true;
  }
  void halt(const std::string& why) {
    if (std::exchange(ending, true)) return;
    under_way.record_all();
    stopped = true;
    stop(why);
  }
};

}  // namespace bulkhead::egress
