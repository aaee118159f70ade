// One control file, opened once and read once: what is shown, what is hashed and what is pinned are the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::trust {

inline constexpr std::uint64_t max_content =
    std::uint64_t{4} * 1024 * 1024;  // of one file; a larger one can't be trusted

struct Content {
  enum class Kind { file, link, other };
  Kind kind = Kind::file;
  bool executable = false;  // anybody's x bit
  bool folder = false;      // a link that leads to a folder of the project
  std::string target;       // a link's, as it is written
  std::string leads_to;     // a link's: the path in the project of what it leads to; empty where that is not known
  std::string bytes;        // of the file, or of the file of the project that a link leads to
  std::uint64_t size = 0;
  std::string sha256;   // of `bytes`, in hex
  std::string problem;  // why it can't be pinned as it is; empty when it can
};

// The entry `name` of the folder `directory`. `root` is the project's folder and `depth_path` the folder's path in it:
// a link is followed once, by the kernel, and only to what lies beneath `root`. Never blocks on what is no file.
Content read_content(int root, int directory, const std::string& directory_path, const std::string& name);

// A regular file that is open already; for changes that somebody else has found. Reads from its beginning.
Content read_content(int fd);

}  // namespace bulkhead::trust
