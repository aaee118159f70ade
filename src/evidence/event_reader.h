// An event as a source sent it, read and written anew. A source may be somebody else's by now: what stands in the log
// is written by us from what the JSON library understood, never a byte of what was sent as it came. So a line is one
// object on one line, in valid UTF-8, every key in it once, no deeper than limits.h says, and no field of the writer's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::evidence {

class EventReader {
 public:
  struct Read {
    std::string type;
    std::string fields;  // without braces (Fields), in the order in which they came
  };
  // `sync` is also set when the event is refused, if it could be read so far.
  Result<Read> read(std::string_view text, bool& sync);

 private:
  struct Handler;
  struct Level {
    bool object;
    bool empty = true;
    std::size_t keys = 0;  // how many of keys_ belong to those around it
  };
  // Of the objects and arrays that are open. Kept from one event to the next is only their memory.
  std::vector<Level> levels_;
  std::vector<std::pair<std::size_t, std::size_t>> keys_;  // where in Read::fields, and how long
};

}  // namespace bulkhead::evidence
