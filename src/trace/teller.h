// One that tells what happens inside: gVisor's sentry (sentry.h) or a virtual machine (machine.h). What it says is a
// stranger's.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "trace/decode.h"

namespace bulkhead::trace {

class Teller {
 public:
  virtual ~Teller() = default;
  // Of the events, field `seen_by`.
  virtual std::string_view name() const = 0;
  // -1: it has hung up.
  virtual int fd() const = 0;
  // What is told next; nullopt: nothing more for now, or ever. Does not block. An error: it makes no sense.
  virtual Result<std::optional<Told>> next() = 0;
  // Whether all that was to be told has been; false: something may have been lost when it was ended.
  virtual bool is_done() const = 0;
};

}  // namespace bulkhead::trace
