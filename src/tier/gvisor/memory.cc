#include "tier/gvisor/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <set>
#include <string>

#include "base/children.h"
#include "base/sys.h"

namespace bulkhead::tier::gvisor {
namespace {

constexpr std::string_view memory_file = "/memfd:runsc-memory";
constexpr std::uint64_t block = 512;  // st_blocks, stat(2)

// Each file once, however many have it open.
void add_files(const std::string& proc, std::set<ino_t>& seen, std::uint64_t& total) {
  const std::string folder = proc + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> fds(::opendir(folder.c_str()), ::closedir);
  if (!fds) return;
  while (const dirent* entry = ::readdir(fds.get())) {
    const std::string path = folder + "/" + entry->d_name;
    const auto link = sys::read_link(path);
    struct stat st{};
    if (!link || !link->starts_with(memory_file) || ::stat(path.c_str(), &st) != 0) continue;
    if (seen.insert(st.st_ino).second) total += static_cast<std::uint64_t>(st.st_blocks) * block;
  }
}

}  // namespace

bool is_sentry(pid_t pid) {
  std::set<ino_t> seen;
  std::uint64_t total = 0;
  add_files("/proc/" + std::to_string(pid), seen, total);
  return !seen.empty();
}

std::uint64_t application_memory(pid_t root) {
  std::uint64_t total = 0;
  std::set<ino_t> seen;
  add_files("/proc/" + std::to_string(root), seen, total);
  // The sentry is runsc's child; what runs the workload's code is further down and has none of it open.
  for (const pid_t child : children_of(root)) add_files("/proc/" + std::to_string(child), seen, total);
  return total;
}

}  // namespace bulkhead::tier::gvisor
