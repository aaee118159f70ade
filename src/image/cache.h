// Unpacked images: `images/HEX/` in the user's cache folder, HEX being the digest of the manifest, with the file system
// in `root/` and what is known of it in `image.json` (docs/formats.md). Shown read-only to any number of sessions at
// once.
//
// A session that shows one has its folder locked, shared, as long as it runs; who removes it locks it alone first, so
// none is removed that is in use. When one was last used its folder's time says.
//
// One is made beside (`HEX.new/`), synced, and then renamed, under a lock on `HEX.lock` that the kernel frees with
// whoever held it: what a crash left of it is thrown away by the next who wants it. What is in the cache is believed:
// whoever can write there is the user. That nobody else can is looked at each time, from images/ down to the root.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "image/seal.h"

namespace bulkhead::image {

struct Entry {
  std::string folder;  // its root/, absolute
  std::map<std::string, std::string> environment;
  Size size;
  std::string from;  // the layout or archive it was unpacked from, as a path; may be gone
  UniqueFd use;      // while it is open nobody removes the entry
};

// What `bulkhead image list` says of one.
struct Listed {
  std::string digest;  // in hex
  Size size;
  std::string from;
  std::int64_t used = 0;  // seconds since 1970; 0: never finished
  bool in_use = false;    // by a session, or it is being unpacked
  std::string damage;     // why no session can use it; empty: none
};

enum class Removal { done, in_use, not_there };

class Cache {
 public:
  // `folder`: the user's cache; made where it is missing, if `make`. ENOENT otherwise.
  static Result<Cache> open(const std::string& folder, bool make);

  // nullopt: it is not there. An error: it is, and not as it was left.
  Result<std::optional<Entry>> find(const std::string& digest) const;

  // One at a time for each digest, also among processes.
  Result<UniqueFd> lock(const std::string& digest) const;
  // With the lock held: an empty folder for it to be made in.
  Result<std::string> begin(const std::string& digest) const;
  // `root/` in there becomes the entry.
  Result<Entry> finish(const std::string& digest, const Entry& entry) const;
  void abandon(const std::string& digest) const;
  // It was, now.
  void mark_used(const Entry& entry) const;

  // By digest.
  Result<std::vector<Listed>> list() const;
  // Waits for nobody. What is left of one that was never finished goes, too.
  Result<Removal> remove(const std::string& digest) const;

 private:
  Cache(std::string path, UniqueFd folder) : path_(std::move(path)), folder_(std::move(folder)) {}

  std::string path_;
  UniqueFd folder_;
};

}  // namespace bulkhead::image
