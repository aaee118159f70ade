#include "session/limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
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

// Of proc(5): utime, stime, and of the children that were waited for cutime and cstime, in ticks. They are behind the
// name, which may hold anything, a parenthesis too.
std::uint64_t own_and_waited_for_ticks(const std::string& proc) {
  const auto text = sys::read_file(proc + "/stat", 4096);
  if (!text) return 0;
  const std::vector<std::string> fields = split(text->substr(std::min(text->rfind(')') + 1, text->size())), ' ');
  std::uint64_t total = 0;  // fields[1] is the state, the third of all
  for (std::size_t i = 12; i <= 15 && i < fields.size(); ++i) total += number(fields[i]);
  return total;
}

std::uint64_t sum_below(pid_t root, std::uint64_t (*of)(const std::string& proc)) {
  std::uint64_t total = 0;
  std::vector<pid_t> todo{root};
  while (!todo.empty()) {
    const pid_t pid = todo.back();
    todo.pop_back();
    total += of("/proc/" + std::to_string(pid));
    const std::vector<pid_t> children = children_of(pid);
    todo.insert(todo.end(), children.begin(), children.end());
  }
  return total;
}

}  // namespace

std::vector<shim::Limit> process_limits(const Limits& limits) {
  std::vector<shim::Limit> out;
  const std::uint64_t processes = limits.processes.value_or(default_processes);
  out.push_back({RLIMIT_NPROC, processes, processes});
  if (limits.open_files) out.push_back({RLIMIT_NOFILE, *limits.open_files, *limits.open_files});
  if (limits.file_size) out.push_back({RLIMIT_FSIZE, *limits.file_size, *limits.file_size});
  if (limits.memory) out.push_back({RLIMIT_DATA, *limits.memory, *limits.memory});
  return out;
}

std::uint64_t anonymous_memory(pid_t root) {
  return sum_below(root, own_memory);
}

std::chrono::milliseconds CpuTime::used(pid_t root) {
  using std::chrono::milliseconds;
  static const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const milliseconds now(sum_below(root, own_and_waited_for_ticks) * 1000 / ticks);
  if (now < seen_) gone_ += seen_ - now;
  seen_ = now;
  return seen_ + gone_;
}

}  // namespace bulkhead::session
