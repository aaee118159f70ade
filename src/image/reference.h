// What `image` names.
#pragma once

#include <string>

#include "base/result.h"

namespace bulkhead::image {

struct Reference {
  enum class Kind { folder, layout, archive };
  Kind kind = Kind::folder;
  std::string path;  // absolute, links resolved
  std::string name;  // which of several images; empty: the one there is
};

// PATH[:NAME], absolute. A path that is there as a whole has no name. A folder is a layout when it has a file
// `oci-layout` (image-layout.md of the OCI image specification); a file is an archive of one.
Result<Reference> reference_of(const std::string& text);

}  // namespace bulkhead::image
