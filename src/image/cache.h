// Unpacked images: `images/HEX/` in the user's cache folder, HEX being the digest of the manifest, with the file system
// in `root/` and what is known of it in `image.json` (docs/formats.md). Shown read-only to any number of sessions at
// once.
//
// One is made beside (`HEX.new/`), synced, and then renamed, under a lock on `HEX.lock` that the kernel frees with
// whoever held it: what a crash left of it is thrown away by the next who wants it. What is in the cache is believed:
// whoever can write there is the user. That nobody else can is looked at each time, from images/ down to the root.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "image/seal.h"

namespace bulkhead::image {

struct Entry {
  std::string folder;  // its root/, absolute
  std::map<std::string, std::string> environment;
  Size size;
};

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
  Result<Entry> finish(const std::string& digest, const std::map<std::string, std::string>& environment,
                       const Size& size) const;
  void abandon(const std::string& digest) const;

 private:
  Cache(std::string path, UniqueFd folder) : path_(std::move(path)), folder_(std::move(folder)) {}

  std::string path_;
  UniqueFd folder_;
};

}  // namespace bulkhead::image
