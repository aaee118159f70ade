// What a process is about to do, asked by the machine's kernel before it does it: execve(2), opening a file to change
// it, connect(2). A seccomp filter, which nothing below it can take off, holds the call until it is answered
// (seccomp_unotify(2)), so a process that is soon gone is seen like any other. The answer is always to go on: nothing
// is judged here, and nothing is relied on but for the record. The words are read from the process's memory: whoever
// shares that with it can have others there by the time the kernel reads them itself.
#pragma once

#include <cstdint>
#include <variant>

#include "base/fd.h"
#include "base/result.h"
#include "guest/record.h"

namespace bulkhead::shim {

// From now on the caller and all it becomes and makes is asked about; the descriptor is where (Linux 5.0). It needs
// CAP_SYS_ADMIN. Of a process that is asked about nothing goes on once all copies of the descriptor are closed: the
// call fails with ENOSYS.
Result<UniqueFd> watch_calls();

// One asked: an attempt. Of Executed it is not known whether a program will run.
using Attempt = std::variant<record::Executed, record::Opening, record::Connecting>;

class Asked {
 public:
  virtual ~Asked() = default;
  virtual void begin() = 0;                           // a process waits for an answer
  virtual bool is_process(std::uint32_t thread) = 0;  // known to be the number of a process
  virtual void take(Attempt attempt) = 0;
};

// Takes one notice and answers it when `asked` has had it. An error: there will be no more.
Result<void> take_notice(int listener, Asked& asked);

}  // namespace bulkhead::shim
