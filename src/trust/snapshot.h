// What of a folder the host could execute or obey, at one moment: taken before a session that may write the folder
// itself (modes rw and rw-no-delete), and held against the folder when the session is over. Filled by find.h's walk,
// within its limits.
//
// As text a snapshot is JSON lines (docs/formats.md): what is kept of it is read again once, and may be long.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "trust/content.h"

namespace bulkhead::trust {

struct Snapshot {
  // An entry recognised again: nothing but the clock can set a ctime.
  struct Mark {
    std::uint64_t inode = 0, size = 0;
    std::int64_t mtime = 0, ctime = 0;  // nanoseconds
    std::uint32_t mode = 0;             // with the type
    bool operator==(const Mark&) const = default;
  };
  struct Entry {
    Mark mark;
    bool read = false;                // what follows is known
    bool counts = false;              // it does something
    std::string sha256;               // of a file, or of the file of the project that a link leads to
    std::string target;               // a link's
    std::string leads_to;             // Content's; not in the text
    std::optional<std::string> text;  // where it is a text, no long one, and holds no keys
    // Keeps what is known of the content. `secret`: not what it says.
    void take(const Content& content, bool does_something, bool secret, std::size_t& room);
  };

  std::string above;                     // the folder's own path on the host (handoff.h)
  std::map<std::string, Entry> entries;  // by path
  std::set<std::string> repositories;    // folders that are one by what they hold; "" is the folder itself
  // Folders that were not looked at, and why; "." is all of it.
  struct Unseen {
    Mark mark;
    std::string why;
    bool operator==(const Unseen&) const = default;
  };
  std::map<std::string, Unseen> unseen;
};

// Why not all can be known of what lies between the two; empty: all is. A folder that nobody could look into before,
// and that is as it was, is no reason.
std::string why_incomplete(const Snapshot& before, const Snapshot& after);

inline constexpr std::size_t max_snapshot_text = std::size_t{256} << 10;  // of one file
inline constexpr std::size_t max_snapshot_texts = std::size_t{8} << 20;

Snapshot::Mark snapshot_mark(const struct stat& st);

std::string to_lines(const Snapshot& snapshot);
// What was cut off is an error: nobody knows then what is new.
Result<Snapshot> snapshot_from(std::string_view lines);

}  // namespace bulkhead::trust
