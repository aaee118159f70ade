// Which processes begin, execute something and end, as the machine's kernel says it (the process connector, cn_proc.h;
// Linux 2.6.15, CONFIG_PROC_EVENTS): it puts each into a queue when it happens, so who is gone when it is read was not
// missed. Only for root of the first user and pid namespace. What the queue has no place for is lost, and counted: the
// kernel numbers what each processor says.
#pragma once

#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::shim {

struct ProcFork {
  std::uint32_t parent = 0, parent_thread = 0, pid = 0;  // processes, not threads
};
struct ProcExec {
  std::uint32_t pid = 0;
};
struct ProcExit {
  std::uint32_t pid = 0, thread = 0;  // each thread's; the process's own is the one where both are the same
  std::uint32_t status = 0;
};
using ProcEvent = std::variant<ProcFork, ProcExec, ProcExit>;

class ProcEvents {
 public:
  static Result<ProcEvents> open();

  int fd() const { return socket_.get(); }
  // What is there by now, in the order in which it happened.
  Result<std::vector<ProcEvent>> read();
  // How many were lost so far.
  std::uint32_t lost() const { return lost_; }

 private:
  explicit ProcEvents(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
  std::map<std::uint32_t, std::uint32_t> next_;  // of each processor the number that its next message has
  std::uint32_t lost_ = 0;
};

}  // namespace bulkhead::shim
