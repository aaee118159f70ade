// How QEMU and virtiofsd are called. Both read what a hostile kernel writes: neither has a capability over anything but
// its own user namespace, a network, or a file beyond what it is for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/process.h"

namespace bulkhead::tier::vm {

// In the stage that both run in.
inline constexpr const char* machine_folder = "/machine";  // vmlinuz, initrd
inline constexpr const char* share_folder = "/share";      // what is shown, and nothing else

struct Machine {
  std::uint64_t memory = 0;  // bytes
  std::uint64_t processors = 1;
  bool kvm = false;
};

// `console`: what the machine's kernel says; `port`: the stream; `tap`: the room's; `files`: virtiofsd's socket,
// connected; `record`: where the machine says what runs in it, -1: nowhere (the machine is the same). Both print on
// `messages`.
Result<Child> start_qemu(const Machine& machine, int console, int messages, int port, int tap, int files, int record);
// How many files of what is shared a machine's kernel may know at once: virtiofsd holds a descriptor for each.
std::uint64_t most_files();
// `listening`: a unix socket, on which QEMU's connection waits already.
Result<Child> start_virtiofsd(int messages, int listening);

}  // namespace bulkhead::tier::vm
