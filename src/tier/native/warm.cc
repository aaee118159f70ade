#include "tier/native/warm.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string_view>

#include "base/confine.h"
#include "base/fd.h"
#include "base/sys.h"

namespace bulkhead::tier::native {
namespace {

struct Close {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Listing = std::unique_ptr<DIR, Close>;

struct Waiting {
  int root;
  std::string path;  // below it; "." itself
};

// What git keeps is many files that few read.
bool is_worth_it(std::string_view name) {
  return name != "." && name != ".." && name != ".git";
}

// The workload may change everything meanwhile. A link is not followed, and Landlock leaves nothing but the mounts.
Listing open_listing(const Waiting& next) {
  UniqueFd fd(::openat(next.root, next.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return nullptr;
  Listing stream(::fdopendir(fd.get()));
  if (stream) (void)fd.release();
  return stream;
}

void list(const std::vector<UniqueFd>& roots) {
  std::deque<Waiting> waiting;
  for (const UniqueFd& root : roots) waiting.push_back({root.get(), "."});
  std::size_t seen = 0;
  while (!waiting.empty() && seen < most_warmed) {
    const Waiting next = std::move(waiting.front());
    waiting.pop_front();
    const Listing stream = open_listing(next);
    if (!stream) continue;
    const dirent* one = nullptr;
    while (seen < most_warmed && (one = ::readdir(stream.get())) != nullptr) {
      ++seen;
      if (one->d_type == DT_DIR && is_worth_it(one->d_name))
        waiting.push_back({next.root, next.path + "/" + one->d_name});
    }
  }
}

[[noreturn]] void run(const std::vector<std::string>& folders) {
  std::vector<UniqueFd> roots;
  std::vector<int> numbers;
  // The first of these waits until bulkhead-keep answers.
  for (const std::string& folder : folders) {
    auto root = sys::open(folder, O_RDONLY | O_DIRECTORY);
    if (!root) ::_exit(0);
    numbers.push_back(root->get());
    roots.push_back(std::move(*root));
  }
  const auto [least, most] = std::ranges::minmax(numbers);
  if (least > 0) (void)::close_range(0, static_cast<unsigned>(least) - 1, 0);
  for (int fd = least; fd < most; ++fd) {
    if (std::ranges::find(numbers, fd) == numbers.end()) ::close(fd);
  }
  (void)::close_range(static_cast<unsigned>(most) + 1, ~0U, 0);
  if (confine(Role::walker, numbers)) list(roots);
  ::_exit(0);
}

}  // namespace

void warm(const std::vector<std::string>& folders) {
  if (folders.empty() || ::fork() != 0) return;
  try {
    run(folders);
  } catch (...) {
    ::_exit(0);
  }
}

}  // namespace bulkhead::tier::native
