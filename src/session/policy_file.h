// The user's own policy file, for an answer that is to hold for later sessions too (ask.h): one [[grant]] is put behind
// what stands there, comments and all. Only a file that is the user's, and that is as it was when the session began:
// what was changed meanwhile, by whoever, is nobody's to complete.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

class PolicyFile {
 public:
  // As it is now; it may not be there yet. `path`: absolute.
  static Result<PolicyFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  // `toml`: one [[grant]]. `why`: a comment in front of it. Readers see the file as it was or with the grant, and it is
  // on the disk. An error: the file is as it was.
  Result<void> append(const std::string& toml, const std::string& why);

 private:
  struct Seen {
    bool exists = false;
    std::string text;
    struct stat status{};
  };
  Result<Seen> look() const;
  Result<void> replace(const std::string& text, const Seen& before);

  std::string path_, name_;  // the file itself, links resolved; its name in the folder
  UniqueFd folder_;          // empty: it is not there yet
  std::string text_;         // when the session began, or as last written
  bool exists_ = false;
};

}  // namespace bulkhead::session
