// How QEMU and virtiofsd are called. Both read what a hostile kernel writes: neither has a capability over anything but
// its own user namespace, a network, or a file beyond what it is for.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/process.h"

namespace bulkhead::tier::vm {

// In the stage that both run in.
inline constexpr const char* machine_folder = "/machine";  // vmlinuz, initrd
inline constexpr const char* share_folder = "/share";      // what is shown, and nothing else

struct Machine {
  std::uint64_t memory = 0;  // bytes, whole megabytes
  std::uint64_t processors = 1;
  bool kvm = false;
};

// QEMU's arguments for what every machine of that size has, however it begins.
std::vector<std::string> hardware(const Machine& machine);

// QEMU's descriptors; what is not given is -1.
struct Wiring {
  int messages = -1;  // what it prints
  int console = -1;   // what the machine's kernel says
  int port = -1;      // the stream
  int memory = -1;    // the machine's: an empty memory file of its size
  int monitor = -1;   // QMP (qmp.h)
  int tap = -1;       // the room's; without it the machine has no network card
  int files = -1;     // virtiofsd's socket, connected
  int record = -1;    // where the machine says what runs in it; the machine is the same without
};

// Where a machine comes from.
enum class How {
  boots,     // it has all of a session's from the beginning
  saves,     // it boots, has nothing of a session, and is to be saved
  restores,  // nothing runs until the monitor has said what to go on from; it has no folders until share_device() is
             // added
};

// For the monitor: the stream's port, and the device with the machine's folders. QEMU can't go on from what was saved
// while such a one is there.
inline constexpr const char* port_id = "port0";
nlohmann::json share_device();

Result<Child> start_qemu(const Machine& machine, const Wiring& wiring, How how);
// How many files of what is shared a machine's kernel may know at once: virtiofsd holds a descriptor for each.
std::uint64_t most_files();
// `listening`: a unix socket, on which QEMU's connection waits already.
// `set_group`: it may set set-group-ID bits; set-user-ID bits never.
Result<Child> start_virtiofsd(int messages, int listening, bool set_group);

}  // namespace bulkhead::tier::vm
