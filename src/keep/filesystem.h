// What the workload sees of a folder mounted `rw-no-delete`: each operation is asked of the keeper, then done on the
// host's folder. Served over FUSE by libfuse, which knows the kernel's protocol and hands us paths.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string_view>

#include "base/fd.h"
#include "keep/keeper.h"
#include "keep/place.h"

struct fuse;  // libfuse's

namespace bulkhead::keep {

struct Served {
  Tree tree;
  // Where files that are open stay when their last name is removed. libfuse gives them a new name for that, which is
  // not to appear on the host. Of one mount with the tree, or they do.
  UniqueFd nameless;
  Keeper keeper;
  gid_t gid = 0;  // shown in place of a group that has no number inside
};

// `device`: /dev/fuse, mounted (fuse(4)). begin() says nothing to it yet; serve() returns when the mount is gone, with
// the number of an error, or 0.
class Connection {
 public:
  static Result<Connection> begin(int device, Served& served);
  Connection(Connection&& other) noexcept : fuse_(std::exchange(other.fuse_, nullptr)) {}
  Connection& operator=(Connection&&) = delete;
  ~Connection();
  int serve();

 private:
  explicit Connection(::fuse* begun) : fuse_(begun) {}
  ::fuse* fuse_;
};

}  // namespace bulkhead::keep
