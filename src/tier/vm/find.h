// What a virtual machine needs of this machine.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::tier::vm {

inline constexpr const char* qemu_path = "/usr/bin/qemu-system-x86_64";
inline constexpr const char* virtiofsd_path = "/usr/lib/qemu/virtiofsd";  // qemu-system-common's, QEMU 7.2

// Each opened O_PATH.
struct Parts {
  UniqueFd kernel, initrd;  // Debian's cloud kernel, and bulkhead-init with the modules it loads
  UniqueFd machine, shim;   // programs of ours
};

// Or what is missing and how to get it.
Result<Parts> find_parts();

}  // namespace bulkhead::tier::vm
