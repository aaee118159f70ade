#include "guest/devices.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/sys.h"

namespace bulkhead::shim {
namespace {

constexpr int patience = 30'000, step = 2;  // milliseconds

// A driver's devices are links in its folder.
bool has_share() {
  const auto driver = sys::open("/sys/bus/virtio/drivers/virtiofs", O_RDONLY | O_DIRECTORY);
  if (!driver) return false;
  const auto names = sys::list_directory(driver->get());
  if (!names) return false;
  for (const std::string& name : *names) {
    if (name.starts_with("virtio")) return true;
  }
  return false;
}

bool all_there() {
  return has_share() && sys::exists("/sys/class/net/eth0");
}

}  // namespace

Result<void> find_devices() {
  if (all_there()) return {};
  BH_TRY(const UniqueFd bus, sys::open("/sys/bus/pci/rescan", O_WRONLY));
  BH_CHECK(sys::write_all(bus.get(), "1", "/sys/bus/pci/rescan"));
  for (int waited = 0; !all_there(); waited += step) {
    if (waited >= patience) return fail("this machine has no network card, or no folders to show");
    ::usleep(step * 1000);
  }
  return {};
}

}  // namespace bulkhead::shim
