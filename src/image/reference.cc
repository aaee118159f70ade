#include "image/reference.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::image {

Result<Reference> reference_of(const std::string& text) {
  const std::string shown = "image \"" + escape_for_terminal(text) + "\"";
  Reference out;
  std::string path = text;
  if (!sys::exists(path)) {
    const std::size_t colon = text.rfind(':');
    if (colon != std::string::npos && text.find('/', colon) == std::string::npos) {
      path = text.substr(0, colon);
      out.name = text.substr(colon + 1);
    }
  }
  auto real = sys::real_path(path);
  if (!real) return tl::unexpected(std::move(real).error().with(shown));
  out.path = *real;
  struct stat st{};
  if (::stat(out.path.c_str(), &st) != 0) return fail_errno("stat", out.path, errno);
  if (S_ISREG(st.st_mode)) {
    out.kind = Reference::Kind::archive;
  } else if (!S_ISDIR(st.st_mode)) {
    return fail(shown + " is neither a folder nor a file");
  } else if (sys::exists(out.path + "/oci-layout")) {
    out.kind = Reference::Kind::layout;
  } else if (!out.name.empty()) {
    return fail(shown + ": " + escape_for_terminal(out.path) + " is a folder and no OCI layout, so there is no \"" +
                escape_for_terminal(out.name) + "\" in it; leave the name out to show the folder as it is");
  }
  return out;
}

}  // namespace bulkhead::image
