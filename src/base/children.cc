#include "base/children.h"

#include <fcntl.h>
#include <signal.h>

#include <charconv>
#include <string>
#include <utility>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead {

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const auto folder = sys::open(tasks, O_RDONLY | O_DIRECTORY);
  if (!folder) return children;
  const auto names = sys::list_directory(folder->get());
  if (!names) return children;
  for (const std::string& name : *names) {
    const auto text = sys::read_file(tasks + "/" + name + "/children", 1U << 20);
    if (!text) continue;
    for (const std::string& word : split(*text, ' ')) {
      pid_t child = 0;
      std::from_chars(word.data(), word.data() + word.size(), child);
      if (child > 0) children.push_back(child);
    }
  }
  return children;
}

std::vector<UniqueFd> stop_children(pid_t parent, const std::function<bool(pid_t)>& wanted) {
  std::vector<UniqueFd> stopped;
  for (const pid_t child : children_of(parent)) {
    auto held = sys::pidfd_open(child);
    if (held && wanted(child) && sys::pidfd_send_signal(held->get(), SIGSTOP)) stopped.push_back(std::move(*held));
  }
  return stopped;
}

std::uint64_t began(pid_t pid) {
  constexpr std::size_t state = 0, start = 19;  // of /proc/PID/stat, counted from behind the program's name
  const auto text = sys::read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  const std::size_t name_end = text ? text->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields = split(text->substr(name_end + 2), ' ');
  if (fields.size() <= start || fields[state] == "Z" || fields[state] == "X") return 0;
  std::uint64_t ticks = 0;
  std::from_chars(fields[start].data(), fields[start].data() + fields[start].size(), ticks);
  return ticks;
}

}  // namespace bulkhead
