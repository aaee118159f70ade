#include "base/children.h"

#include <fcntl.h>

#include <charconv>
#include <string>

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

}  // namespace bulkhead
