#include "session/limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "base/children.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t own_memory(const std::string& proc) {
  const auto text = sys::read_file(proc + "/statm", 256);
  if (!text) return 0;
  // proc(5): size resident shared …, in pages; shared is what files back.
  const std::vector<std::string> fields = split(*text, ' ');
  if (fields.size() < 3) return 0;
  const std::uint64_t resident = number(fields[1]);
  const std::uint64_t shared = number(fields[2]);
  return resident > shared ? (resident - shared) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace

std::vector<shim::Limit> process_limits(const Limits& limits) {
  std::vector<shim::Limit> out;
  const std::uint64_t processes = limits.processes.value_or(default_processes);
  out.push_back({RLIMIT_NPROC, processes, processes});
  if (limits.open_files) out.push_back({RLIMIT_NOFILE, *limits.open_files, *limits.open_files});
  if (limits.memory) out.push_back({RLIMIT_DATA, *limits.memory, *limits.memory});
  return out;
}

std::uint64_t anonymous_memory(pid_t root) {
  std::uint64_t total = 0;
  std::vector<pid_t> todo{root};
  while (!todo.empty()) {
    const pid_t pid = todo.back();
    todo.pop_back();
    total += own_memory("/proc/" + std::to_string(pid));
    const std::vector<pid_t> children = children_of(pid);
    todo.insert(todo.end(), children.begin(), children.end());
  }
  return total;
}

}  // namespace bulkhead::session
