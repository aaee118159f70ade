#include "guest/forget.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "base/fd.h"

namespace bulkhead::shim {
namespace {

constexpr auto pause = std::chrono::milliseconds(10);

// Of every file system: this costs next to nothing (proc(5)).
std::uint64_t all_inodes() {
  std::ifstream file("/proc/sys/fs/inode-nr");
  std::uint64_t count = 0;
  file >> count;
  return count;
}

// Of the shared folders alone: no other file system of the machine's is one of FUSE. This costs a millisecond, or many
// without KVM (slabinfo(5)).
std::uint64_t shared_inodes() {
  std::ifstream file("/proc/slabinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t count = 0;
    if (words >> name >> count && name == "fuse_inode") return count;
  }
  return 0;
}

// The pages of files, too: one that has any is kept.
void drop() {
  const UniqueFd file(::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC));
  if (file) (void)!::write(file.get(), "3", 1);
}

}  // namespace

void Forget::look(Clock::time_point now) {
  if (quarter_ == 0 || now < next_) return;
  next_ = now + pause;
  // The count of all says when the shared ones may have become too many.
  const std::uint64_t all = all_inodes();
  all_ = std::min(all_, all);
  if (all - all_ < enough_) return;
  std::uint64_t shared = shared_inodes();
  if (shared >= when_) {
    drop();
    shared = shared_inodes();
    // What is in use stays; forgetting again and again would only make all else slow.
    when_ = std::clamp(shared + quarter_ / 2, quarter_, 4 * quarter_ - quarter_ / 2);
  }
  all_ = all_inodes();
  enough_ = std::max((when_ - std::min(when_, shared)) / 2, quarter_ / 16 + 1);
}

}  // namespace bulkhead::shim
