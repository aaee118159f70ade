// A live folder as the kernel asks for it, by FUSE: requests come by number, a name at a time, and are answered by what
// LiveFolder does at the path that is meant. libfuse knows the protocol.
#pragma once

#include <sys/types.h>

#include <utility>

#include "base/result.h"
#include "keep/folder.h"
#include "keep/names.h"
#include "keep/watch.h"

struct fuse_session;  // libfuse's

namespace bulkhead::keep {

struct Served {
  LiveFolder& folder;
  Names& names;
  Watch& watch;
  bool own_numbers = false;  // inode numbers are ours, and never another file's
};

// `device`: /dev/fuse, mounted (fuse(4)). begin() says nothing to it yet; serve() returns when the mount is gone, with
// the number of an error, or 0.
class Connection {
 public:
  static Result<Connection> begin(int device, Served& served);
  Connection(Connection&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  Connection& operator=(Connection&&) = delete;
  ~Connection();
  int serve();
  // For Watch::begin.
  Doubts doubts() const;

 private:
  explicit Connection(::fuse_session* begun) : session_(begun) {}
  ::fuse_session* session_;
};

}  // namespace bulkhead::keep
