#include "secrets/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "base/sys.h"

namespace bulkhead::secrets {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t most_waiting = 10'000;
constexpr std::uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

// Opened without effect first: what a name stands for may have changed since it was listed. `path` empty: `root`
// itself.
const ContentPattern* read(const Patterns& patterns, int root, const std::string& path, std::string& buffer) {
  auto looked =
      path.empty() ? sys::duplicate(root) : sys::open_at2(root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, inside);
  struct stat st{};
  if (!looked || ::fstat(looked->get(), &st) != 0 || !S_ISREG(st.st_mode)) return nullptr;
  auto opened = sys::open("/proc/self/fd/" + std::to_string(looked->get()), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!opened) return nullptr;
  buffer.resize(most_read);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t n = ::pread(opened->get(), buffer.data() + size, buffer.size() - size, static_cast<off_t>(size));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
  }
  return contained(patterns, std::string_view(buffer).substr(0, size));
}

class Scanner {
 public:
  Scanner(const Patterns& patterns, int root, const Bounds& bounds, bool sizes)
      : root_(root), bounds_(bounds), sizes_(sizes), until_(Clock::now() + bounds.time), look_(patterns, bounds) {}

  Scan run(const std::string& name) {
    struct stat st{};
    if (::fstat(root_, &st) != 0) return {};
    if (S_ISREG(st.st_mode)) {
      // Its own name decides; "." would be a folder's.
      file(root_, "", name, "");
    } else {
      // The outermost first: that is where people keep them, should a bound be reached.
      waiting_.push_back({".", 0});
      while (!waiting_.empty() && go_on()) {
        const Folder next = std::move(waiting_.front());
        waiting_.pop_front();
        folder(next);
      }
      if (!waiting_.empty()) out_.whole = false;
    }
    out_.keys = look_.finish(root_, out_.whole);
    return std::move(out_);
  }

 private:
  struct Folder {
    std::string path;
    std::size_t depth;
  };

  bool go_on() {
    if (entries_ < bounds_.entries && !look_.full() && Clock::now() < until_) return true;
    out_.whole = false;
    return false;
  }

  void folder(const Folder& at) {
    auto opened = sys::open_at2(root_, at.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, inside);
    if (!opened) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(opened->get()), ::closedir);
    if (!listing) return;
    const int fd = opened->release();                         // the listing's
    while (const dirent* entry = ::readdir(listing.get())) {  // NOLINT(concurrency-mt-unsafe): a listing of its own
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      ++entries_;
      // The clock is not looked at for each.
      if (entries_ >= bounds_.entries || ((entries_ & 255U) == 0 && !go_on())) {
        out_.whole = false;
        return;
      }
      const std::string path = at.path == "." ? name : at.path + "/" + name;
      unsigned char type = entry->d_type;
      if (type == DT_UNKNOWN) type = looked_up(fd, name);
      if (type == DT_DIR) {
        if (look_.skips(name)) continue;
        if (at.depth + 1 < bounds_.depth) {
          waiting_.push_back({path, at.depth + 1});
        } else {
          out_.whole = false;
        }
      } else if (type == DT_REG) {
        file(fd, name, name, path);
        if (look_.full()) return;
      }
    }
  }

  static unsigned char looked_up(int folder, const std::string& name) {
    struct stat st{};
    if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
    return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
  }

  // `entry`: in `folder`; empty: `folder` is the file.
  void file(int folder, const std::string& entry, const std::string& name, const std::string& path) {
    ++out_.files;
    struct stat st{};
    const int flags = AT_SYMLINK_NOFOLLOW | (entry.empty() ? AT_EMPTY_PATH : 0);
    if (sizes_ && ::fstatat(folder, entry.c_str(), &st, flags) == 0) {
      out_.bytes += static_cast<std::uint64_t>(std::max<off_t>(0, st.st_size));
    }
    look_.file(name, path);
  }

  const int root_;
  const Bounds bounds_;
  const bool sizes_;
  const Clock::time_point until_;
  std::deque<Folder> waiting_;
  std::size_t entries_ = 0;
  Look look_;
  Scan out_;
};

}  // namespace

bool Look::skips(const std::string& name) const {
  return std::ranges::find(patterns_.skipped, name) != patterns_.skipped.end();
}

void Look::file(const std::string& name, std::string path) {
  const NamePattern* pattern = named(patterns_, name);
  if (pattern == nullptr) return;
  if (waiting_.size() >= most_waiting) {
    left_out_ = true;
    return;
  }
  if (!pattern->read) ++found_;
  waiting_.push_back({std::move(path), pattern});
}

std::vector<Key> Look::finish(int root, bool& whole) {
  whole = whole && !left_out_;
  std::ranges::sort(waiting_, {}, [](const Named& one) {
    return std::pair(std::ranges::count(one.path, '/'), std::string_view(one.path));
  });
  std::vector<Key> out;
  std::string buffer;
  std::size_t read_already = 0;
  for (Named& one : waiting_) {
    if (out.size() >= bounds_.found) {
      whole = false;
      break;
    }
    if (!one.pattern->read) {
      out.push_back({std::move(one.path), one.pattern->what});
    } else if (read_already++ >= bounds_.read) {
      whole = false;
    } else if (const ContentPattern* in = read(patterns_, root, one.path, buffer)) {
      out.push_back({std::move(one.path), in->what});
    }
  }
  waiting_.clear();
  return out;
}

Scan scan(const Patterns& patterns, int root, const std::string& name, const Bounds& bounds, bool sizes) {
  return Scanner(patterns, root, bounds, sizes).run(name);
}

}  // namespace bulkhead::secrets
