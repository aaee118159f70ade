// The socket that `bulkhead mcp --socket` listens on. It stands in a folder of the user's own, for the user alone
// (0600), and is gone when this is. One that a killed server left is replaced, one that answers is not.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::mcp {

class Listener {
 public:
  // Non-blocking. An error: the folder is somebody else's, others may write to it, or it is (below) the one we are in,
  // which a session of ours could write to; something else has that name; a server answers there.
  static Result<Listener> open(const std::string& path);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return socket_.get(); }
  // Removes it, if it is still ours that stands there.
  void remove();

 private:
  Listener() = default;

  UniqueFd folder_, socket_;
  std::string name_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace bulkhead::mcp
