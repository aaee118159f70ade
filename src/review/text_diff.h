// What is different between two texts, by diff(1) of GNU diffutils: a child with an empty environment and nothing but
// the two descriptors and a pipe. Neither a name nor a byte of the files reaches its arguments.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::review {

class TextDiff {
 public:
  static Result<TextDiff> open();
  // Unified, from the first "@@" on, in lines without their ends. A side of -1 is an empty file. Both are texts
  // (content.h). What takes too long, or is too long to be read by anybody, is an error.
  Result<std::vector<std::string>> lines(int before, int after) const;

 private:
  UniqueFd program_;
};

}  // namespace bulkhead::review
