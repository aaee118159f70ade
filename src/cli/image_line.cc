#include "cli/image_line.h"

#include "base/text.h"
#include "cli/common.h"
#include "image/image.h"

namespace bulkhead::cli {

std::string image_line(const Policy& policy, const PolicyRequest& request) {
  if (policy.image.empty()) return "";
  const std::string shown = "image " + escape_for_terminal(policy.image);
  const auto paths = user_paths();
  image::Wanted wanted;
  // A name behind a colon is no part of a path, and stays.
  wanted.path = absolute_path(policy.image, request.place);
  wanted.cache = paths ? paths->cache : "";
  wanted.unpack = false;
  const auto image = image::open(wanted);
  if (!image) return shown + " can't be used: " + image.error().message;
  if (image->digest.empty()) return shown + ": a folder, shown as it is";
  return shown + ": " + image->digest + (image->folder.empty() ? " (not unpacked yet)" : " (unpacked, in the cache)");
}

}  // namespace bulkhead::cli
