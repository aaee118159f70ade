// What is unpacked, walked by descriptors: counted, and made to hold nothing but folders, files and links.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "image/image.h"

namespace bulkhead::image {

struct Size {
  std::uint64_t bytes = 0, files = 0;  // as on the disk; folders and links are files
};

// What is said of more than that.
tl::unexpected<Error> too_large(const Bounds& most);
tl::unexpected<Error> too_many_files(const Bounds& most);

// While it grows: what is there at the moment, or the error that it is more than `most`. What can't be looked at yet is
// left out.
Result<Size> measure(int folder, const Bounds& most);

// Once nobody writes to it any more. FIFOs, sockets and device files go: two sessions that share an image would speak
// through them. set-user-ID, set-group-ID and sticky bits go, its owner may read everything and list and empty every
// folder, and as root everything becomes root's (an unprivileged uid had unpacked it).
Result<Size> seal(int folder, const Bounds& most);

}  // namespace bulkhead::image
