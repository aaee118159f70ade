// A file, link or other node with all that belongs to it: content with its holes, mode, owner, times, attributes.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "keep/place.h"

namespace bulkhead::keep {

using Attributes = std::vector<std::pair<std::string, std::string>>;  // user.* and access control lists

// Makes `to` (which must not exist) equal to what is at `from`: a file, a link, a FIFO or a socket's name. Content is
// shared where the file system can (FICLONE). On the disk when it returns. Half-made ones are removed.
Result<void> copy_node(const Place& from, const Place& to);
// The same of a regular file that is open for reading.
Result<void> copy_open_file(int from, const Place& to);

Result<Attributes> read_attributes(int fd);
Result<void> write_attributes(int fd, const Attributes& attributes);

// The bytes of its own that a copy would take.
std::uint64_t weight(const struct stat& st);

}  // namespace bulkhead::keep
