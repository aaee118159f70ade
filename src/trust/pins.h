// What the user trusted: one file per project in ~/.local/state/bulkhead/trust/, named by a hash of the folder's path
// and identity (inode and birth time), so that a copy, or another folder at the same path, is nobody's. A file that is
// torn, not the user's own, or writable by others counts as absent and is told of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "trust/find.h"

namespace bulkhead::trust {

struct Pinned {
  Content::Kind kind = Content::Kind::file;
  bool executable = false;
  std::string target, sha256;
  // What it was, for the diff; nullopt where it is too large or no text.
  std::optional<std::string> text;

  bool same_as(const Content& content) const;
};

struct Project {
  std::string path;
  std::uint64_t inode = 0;
  std::string born;     // "seconds.nanoseconds", or empty where the file system does not say
  std::string trusted;  // when, RFC 3339
  std::map<std::string, Pinned> files;

  // The folder as it is now, with nothing trusted.
  static Result<Project> of(int folder);
  std::string key() const;
  // `keep_text`: for the diff, should it change.
  void pin(const Control& control, bool keep_text);
};

class Pins {
 public:
  // `state` is the user's state folder. With `make` false and no folder there, nothing is trusted.
  static Result<Pins> open(const std::string& state, bool make);

  // What was trusted in this folder; nullopt when nothing was, and `problem` says if that is because it can't be read.
  std::optional<Project> find(const Project& folder, std::string& problem) const;
  // All of them, by path; unreadable ones are left out and named in `problems`.
  std::vector<Project> list(std::vector<std::string>& problems) const;
  Result<void> save(const Project& project) const;
  // False when nothing was trusted.
  Result<bool> remove(const std::string& key) const;

 private:
  Result<Project> read(const std::string& key) const;
  UniqueFd folder_;
};

// The hashes under which those of `paths` are trusted in `folder`, plain files only. What can't be read is not trusted.
std::vector<std::string> trusted_hashes(const std::string& state, const std::string& folder,
                                        const std::vector<std::string>& paths);

}  // namespace bulkhead::trust
