// What both transports have to do with ends: the server's own, and those of the threads it began.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::mcp {

// The signals that end a server (SIGTERM, SIGINT, SIGHUP) are blocked from now on, in every thread begun later, and
// read from the descriptor (signalfd(2)).
Result<UniqueFd> receive_ending_signals();

// Joins the `thread` of each entry that is `over`, and removes it. How many there were.
template <class List>
std::size_t reap(List& entries) {
  std::size_t gone = 0;
  for (auto one = entries.begin(); one != entries.end();) {
    if (!one->over) {
      ++one;
      continue;
    }
    one->thread.join();
    one = entries.erase(one);
    ++gone;
  }
  return gone;
}

}  // namespace bulkhead::mcp
