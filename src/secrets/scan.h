// The files below a folder that look like keys: by their names, and a few small ones by what is in them. The tree may
// be a stranger's: no link is followed, nothing but regular files is opened for reading, and everything is bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "secrets/secrets.h"

namespace bulkhead::secrets {

struct Bounds {
  std::size_t entries = 20'000;  // of folders, in all
  std::size_t read = 50;         // files that are read
  std::size_t found = 20;
  std::size_t depth = 12;
  std::chrono::milliseconds time{10};
};
// For somebody who asked, and waits.
inline constexpr Bounds thorough{500'000, 5'000, 500, 64, std::chrono::milliseconds(5000)};

inline constexpr std::size_t most_read = 64 * 1024;  // of a file; a longer one is read that far

struct Key {
  std::string path;  // relative to where the scan began; "" is that itself
  std::string what;
};

struct Scan {
  std::vector<Key> keys;
  std::uint64_t files = 0, bytes = 0;  // seen; bytes only with `sizes`
  bool whole = true;                   // nothing was left out for a bound
};

// What looks like a key among files that somebody else walks by: names first, and what has to be read last.
class Look {
 public:
  Look(const Patterns& patterns, const Bounds& bounds) : patterns_(patterns), bounds_(bounds) {}

  // A folder of that name is not looked into.
  bool skips(const std::string& name) const;
  // Of a regular file. `path`: relative to where the walk began.
  void file(const std::string& name, std::string path);
  // More need not be looked for.
  bool full() const { return found_ >= bounds_.found; }
  // `root`: where the walk began, O_PATH. The outermost come first. `whole` becomes false when some were left out.
  std::vector<Key> finish(int root, bool& whole);

 private:
  struct Named {
    std::string path;
    const NamePattern* pattern;
  };
  const Patterns& patterns_;
  const Bounds bounds_;
  std::vector<Named> waiting_;
  std::size_t found_ = 0;  // of those, that need not be read
  bool left_out_ = false;
};

// `root`: O_PATH, a folder or a regular file called `name`. What can't be read is passed over: neither can the
// workload.
Scan scan(const Patterns& patterns, int root, const std::string& name, const Bounds& bounds, bool sizes = false);

}  // namespace bulkhead::secrets
