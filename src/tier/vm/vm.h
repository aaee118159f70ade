// tier/vm/: the workload has a machine and a Linux of its own, which QEMU makes; the room is reached by a tap
// (room/wire.h), files by virtiofs. What is shown is staged as for gvisor (stage/inside.h), so the host's kernel holds
// every mode, whatever the machine's does.
//
//   find.h            QEMU, virtiofsd, and what the machine boots (tools/machine.sh)
//   kvm.h             whether KVM is really usable
//   qemu.h            how QEMU and virtiofsd are called, and what each may touch
//   machine_main.cc   bulkhead-machine: starts both and carries the shim's descriptors over the machine's one stream;
//                     guest/init_main.cc is the other end
//   vm.h              starting that
//
// All of it runs as the session's uid in a user namespace below the room's, in mount, pid and network namespaces of the
// session's own: it is gone with bulkhead-machine, the first process in there, and nothing of it is on a disk.
#pragma once

#include <memory>

#include "tier/tier.h"

namespace bulkhead::tier::vm {

Result<std::unique_ptr<Isolation>> open();

}  // namespace bulkhead::tier::vm
