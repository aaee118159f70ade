// image/: a root file system of somebody else's, for the workload to see in the place of the host's own.
//
//   image.h      what the policy's `image` names -> a folder that a tier can show (this file)
//   reference.h  which of the three kinds it is, and what of it is meant
//   manifest.h   the JSON of the OCI image specification 1.0, as far as it is needed; nothing is believed but digests
//   blobs.h      the bytes of a layout folder or an archive, each verified
//   unpack.h     umoci, confined: layers -> a folder
//   seal.h       what is unpacked, counted, and freed of what no session gets
//   cache.h      where unpacked images stay, once each, for all sessions
//
// Everything in an image is a stranger's. Its archive is read by tar and its layers by umoci, neither of which has
// anything but that (base/filter.h, unpack.h); what they make is believed only as far as digests go. What is shown of
// it is read-only, and everything else of the session's lies over it (tier/stage/stage.h), so no link in it leads
// anywhere.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::image {

// Of what it is unpacked to.
struct Bounds {
  std::uint64_t bytes = 16'000'000'000;
  std::uint64_t files = 1'000'000;  // and folders
};

struct Wanted {
  std::string path;   // absolute: a folder, or an OCI layout or archive as PATH[:NAME]
  std::string cache;  // the user's folder for what can be made again (session::Paths::cache); made where it is missing
  Bounds bounds;
  bool unpack = true;  // false: what is not in the cache is only named
};

struct Image {
  std::string path;    // on the host, links resolved: the folder, layout or archive
  std::string folder;  // what is to be shown, on the host; empty: not in the cache
  std::string digest;  // "sha256:…" of its manifest; empty: it is a folder, which nobody verifies
  std::map<std::string, std::string> environment;  // what its configuration sets; names and values are checked
  UniqueFd use;                                    // while it is open the cache keeps it; unset: it is not in there
};

// With the privileges of whoever starts the session. Blocks while another session unpacks the same image. Errors are
// for the user: what is wrong, with what, what to do.
Result<Image> open(const Wanted& wanted);

}  // namespace bulkhead::image
