// Whether KVM can be used. That /dev/kvm opens, and even that a virtual processor runs, says little: on some machines
// in a cloud it is emulated, a thousand times slower than QEMU's own translation (TCG).
#pragma once

namespace bulkhead::tier::vm {

// Lets a virtual processor count to two million in a process of its own, which has half a second for it and 60 ms of a
// processor's time. False also where
// there is no /dev/kvm, or none for this user.
bool kvm_is_usable();

}  // namespace bulkhead::tier::vm
