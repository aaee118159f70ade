#include "base/install.h"

#include <errno.h>
#include <fcntl.h>

#include "base/sys.h"

namespace bulkhead {
namespace {

Result<std::string> program_directory() {
  BH_TRY(const std::string self, sys::read_link("/proc/self/exe"));
  return self.substr(0, self.rfind('/'));
}

}  // namespace

Result<UniqueFd> open_helper(const std::string& name) {
  BH_TRY(const std::string here, program_directory());
  for (const char* const folder : {"/", "/../libexec/bulkhead/"}) {
    auto fd = sys::open(std::string(here).append(folder).append(name), O_PATH);
    if (fd || fd.error().code != ENOENT) return fd;
  }
  return fail("the helper " + name + " is missing beside " + here + "/bulkhead; build or install Bulkhead again");
}

Result<std::string> data_directory() {
  BH_TRY(const std::string here, program_directory());
  // build/PRESET/bin in a source tree, bin in an installation.
  for (const std::string& path : {here + "/../share/bulkhead", here + "/../../.."}) {
    if (sys::is_directory(path + "/profiles") && sys::is_directory(path + "/presets")) return sys::real_path(path);
  }
  return fail("Bulkhead's profiles and presets are missing near " + here + "; build or install Bulkhead again");
}

}  // namespace bulkhead
