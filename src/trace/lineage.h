// Who made whom, and what runs in it, from what was told: gVisor's messages name only the process itself. What was not
// told (or not heard) is unknown.
#pragma once

#include <string>
#include <unordered_map>

#include "trace/decode.h"

namespace bulkhead::trace {

struct Process {
  int parent = 0;     // who made it; 0: unknown
  std::string name;   // of the program's file, without its folders; empty: unknown
  bool said = false;  // what it executes was told, and the call's end not yet
};

class Lineage {
 public:
  // More than a session may have; who sends more than that at once is not to have more memory for it.
  static constexpr std::size_t most = 1U << 16;

  void began(const Began& what);
  void executed(const Executed& what);
  // Whether it was told what runs there now.
  bool runs(const Runs& what);
  // Of what is unknown: nothing.
  const Process& of(int pid) const;
  void ended(int pid);
  std::size_t size() const { return processes_.size(); }

 private:
  Process& entry(int pid);
  std::unordered_map<int, Process> processes_;
};

}  // namespace bulkhead::trace
