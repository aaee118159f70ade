#include "tier/vm/find.h"

#include <fcntl.h>

#include "base/install.h"
#include "base/sys.h"

namespace bulkhead::tier::vm {

Result<Parts> find_parts() {
  for (const char* program : {qemu_path, virtiofsd_path}) {
    if (!sys::exists(program)) {
      return fail(std::string(program) +
                      " is missing, which the tier vm needs; install it: "
                      "apt-get install --no-install-recommends qemu-system-x86",
                  ENOENT);
    }
  }
  Parts parts;
  BH_TRY(const std::string data, data_directory());
  for (const std::string& folder : {data + "/machine", std::string(BULKHEAD_MACHINE)}) {
    auto kernel = sys::open(folder + "/vmlinuz", O_PATH);
    auto initrd = sys::open(folder + "/initrd", O_PATH);
    if (!kernel || !initrd) continue;
    parts.kernel = std::move(*kernel);
    parts.initrd = std::move(*initrd);
    break;
  }
  if (!parts.kernel) {
    return fail(
        "the kernel of the tier vm's machines is missing; `./dev machine` fetches Debian's, see bulkhead(1), "
        "TIERS",
        ENOENT);
  }
  BH_TRY(parts.machine, open_helper("bulkhead-machine"));
  BH_TRY(parts.shim, open_helper("bulkhead-shim"));
  return parts;
}

}  // namespace bulkhead::tier::vm
