// What a hostile guest says of its requests: by requests of the same kind, into two files of a mount that it may write
// to. So what stands there did arrive, and it stands there whatever the next request brings.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "turned/fuse_request.h"

namespace bulkhead::turned {

// A folder as the file server has it: names from what is shared down.
using Place = std::vector<std::string>;

// The node at that place, 0 if there is none.
std::uint64_t walk(Fuse& fuse, const Place& place, std::uint64_t from = FUSE_ROOT_ID);

class Report {
 public:
  // `report` has a line for each line(); `seen` all bytes that answers brought.
  Report(Fuse& fuse, Place folder) : fuse_(fuse), folder_(std::move(folder)) {}
  void line(const std::string& text);
  void line(const std::string& what, const Answer& answer) { line(what + ": " + answer.text()); }

 private:
  struct File {
    std::uint64_t node = 0, handle = 0, size = 0;
  };
  void append(const std::string& file, const std::string& bytes);
  bool begin(const std::string& file, File& into);

  Fuse& fuse_;
  Place folder_;
  std::map<std::string, File> files_;
};

}  // namespace bulkhead::turned
