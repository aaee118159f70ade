// The files of an OCI layout, from a folder or out of a tar archive, which the machine's tar reads (base/filter.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "image/manifest.h"
#include "image/reference.h"

namespace bulkhead::image {

class Blobs {
 public:
  static Result<std::unique_ptr<Blobs>> open(const Reference& reference);
  virtual ~Blobs() = default;

  Result<std::string> index();
  // Verified by digest and size.
  Result<std::string> text(const Descriptor& descriptor);
  // Into a new file `name` in `folder`, which is verified once it is there.
  Result<void> copy(const Descriptor& descriptor, int folder, const std::string& name);

 private:
  // The file at `path`, relative to the layout, in pieces to `sink`; refused above `most` bytes.
  virtual Result<void> read(const std::string& path, std::uint64_t most,
                            const std::function<Result<void>(std::string_view)>& sink) = 0;
};

}  // namespace bulkhead::image
