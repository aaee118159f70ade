#include "turned/virtio_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::turned {
namespace {

constexpr std::size_t register_space = 1U << 20;  // more than any of its BARs has that are of use
constexpr unsigned vendor = 0x1af4, first_modern = 0x1040;

Result<unsigned> number_in(const std::string& path) {
  BH_TRY(const std::string text, sys::read_file(path, 64));
  return static_cast<unsigned>(::strtoul(text.c_str(), nullptr, 0));
}

Result<void> put(const std::string& path, const std::string& text) {
  BH_TRY(const UniqueFd file, sys::open(path, O_WRONLY));
  return sys::write_all(file.get(), text, path);
}

Result<std::string> find(const std::string& sys, unsigned kind) {
  const std::string top = sys + "/bus/pci/devices";
  BH_TRY(const UniqueFd all, sys::open(top, O_RDONLY | O_DIRECTORY));
  BH_TRY(const std::vector<std::string> names, sys::list_directory(all.get()));
  for (const std::string& name : names) {
    BH_TRY(const unsigned made_by, number_in(top + "/" + name + "/vendor"));
    BH_TRY(const unsigned device, number_in(top + "/" + name + "/device"));
    if (made_by == vendor && device == first_modern + kind) return top + "/" + name;
  }
  return fail("this machine has no such device");
}

// One BAR; what of it is no register is not there.
Result<char*> map_bar(const std::string& folder, unsigned bar) {
  const std::string path = folder + "/resource" + std::to_string(bar);
  BH_TRY(const UniqueFd file, sys::open(path, O_RDWR));
  BH_TRY(const struct stat st, sys::stat_fd(file.get(), path));
  const auto bytes = std::min(register_space, static_cast<std::size_t>(st.st_size));
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return fail_errno("mmap", path, errno);
  return static_cast<char*>(at);
}

}  // namespace

Result<void> VirtioDevice::map(const std::string& folder) {
  BH_TRY(const UniqueFd config, sys::open(folder + "/config", O_RDWR));
  std::array<std::uint8_t, 256> space{};
  if (::pread(config.get(), space.data(), space.size(), 0) != static_cast<ssize_t>(space.size())) {
    return fail_errno("read", folder + "/config", errno);
  }
  std::uint16_t command = 0;
  ::memcpy(&command, &space[PCI_COMMAND], sizeof command);
  command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE;
  if (::pwrite(config.get(), &command, sizeof command, PCI_COMMAND) != sizeof command) {
    return fail_errno("write", folder + "/config", errno);
  }
  for (std::size_t at = space[PCI_CAPABILITY_LIST]; at != 0 && at + sizeof(virtio_pci_notify_cap) <= space.size();
       at = space[at + 1]) {
    if (space[at] != PCI_CAP_ID_VNDR) continue;
    virtio_pci_notify_cap found{};
    ::memcpy(&found, &space[at], sizeof found);
    const auto kind = found.cap.cfg_type;
    if (kind != VIRTIO_PCI_CAP_COMMON_CFG && kind != VIRTIO_PCI_CAP_NOTIFY_CFG) continue;
    BH_TRY(char* const bar, map_bar(folder, found.cap.bar));
    if (kind == VIRTIO_PCI_CAP_COMMON_CFG) {
      registers_ = reinterpret_cast<volatile virtio_pci_common_cfg*>(bar + found.cap.offset);
    } else {
      bells_ = bar + found.cap.offset;
      bell_step_ = found.notify_off_multiplier;
    }
  }
  return registers_ != nullptr && bells_ != nullptr ? Result<void>() : fail("the device has no registers");
}

// In one piece, and it stays where it is.
Result<void> VirtioDevice::find_memory() {
  void* at = MAP_FAILED;
  // The kernel gives as many of them as it finds, after it has moved others out of the way.
  for (int attempt = 0; attempt < 10 && at == MAP_FAILED; ++attempt) {
    if (attempt > 0) (void)put("/proc/sys/vm/compact_memory", "1");
    BH_CHECK(put("/proc/sys/vm/nr_hugepages", "2"));
    at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
  }
  if (at == MAP_FAILED) return fail_errno("mmap", "a page of 2 MB", errno);
  memory_ = static_cast<char*>(at);
  BH_TRY(const UniqueFd map, sys::open("/proc/self/pagemap", O_RDONLY));
  constexpr std::uint64_t page = 4096, present = 1ULL << 63, frame = (1ULL << 55) - 1;
  std::uint64_t entry = 0;
  const auto place = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(at) / page * sizeof entry);
  if (::pread(map.get(), &entry, sizeof entry, place) != sizeof entry || (entry & present) == 0 ||
      (entry & frame) == 0) {
    return fail("the kernel does not say where memory is");
  }
  physical_ = (entry & frame) * page;
  return {};
}

Result<void> VirtioDevice::begin(std::uint16_t queue) {
  registers_->device_status = 0;
  while (registers_->device_status != 0) ::usleep(100);
  std::uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE;
  const auto more = [&](std::uint8_t bit) {
    status = static_cast<std::uint8_t>(status | bit);
    registers_->device_status = status;
  };
  more(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  more(VIRTIO_CONFIG_S_DRIVER);
  registers_->device_feature_select = 0;
  const std::uint32_t offered = registers_->device_feature;
  registers_->guest_feature_select = 0;
  registers_->guest_feature = offered & (1U << VIRTIO_RING_F_INDIRECT_DESC);
  registers_->guest_feature_select = 1;
  registers_->guest_feature = 1U << (VIRTIO_F_VERSION_1 - 32);
  more(VIRTIO_CONFIG_S_FEATURES_OK);
  if ((registers_->device_status & VIRTIO_CONFIG_S_FEATURES_OK) == 0) return fail("the device wants other features");
  registers_->queue_select = queue;
  constexpr std::uint16_t enough = 128;
  entries_ = std::min(enough, static_cast<std::uint16_t>(registers_->queue_size));
  registers_->queue_size = entries_;
  const auto tell = [](volatile __le32& low, volatile __le32& high, std::uint64_t address) {
    low = static_cast<std::uint32_t>(address);
    high = static_cast<std::uint32_t>(address >> 32);
  };
  tell(registers_->queue_desc_lo, registers_->queue_desc_hi, address(0));
  tell(registers_->queue_avail_lo, registers_->queue_avail_hi, address(available_at));
  tell(registers_->queue_used_lo, registers_->queue_used_hi, address(used_at));
  queue_ = queue;
  bell_ = reinterpret_cast<volatile std::uint16_t*>(bells_ + registers_->queue_notify_off * bell_step_);
  reinterpret_cast<vring_avail*>(memory_ + available_at)->flags = VRING_AVAIL_F_NO_INTERRUPT;
  registers_->queue_enable = 1;
  more(VIRTIO_CONFIG_S_DRIVER_OK);
  return {};
}

Result<VirtioDevice> VirtioDevice::take(const std::string& sys, unsigned kind, std::uint16_t queue) {
  VirtioDevice device;
  BH_TRY(const std::string folder, find(sys, kind));
  BH_CHECK(device.find_memory());
  BH_CHECK(put(folder + "/driver/unbind", folder.substr(folder.rfind('/') + 1)));
  BH_CHECK(device.map(folder));
  BH_CHECK(device.begin(queue));
  return device;
}

void VirtioDevice::wake() const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *bell_ = queue_;
}

void VirtioDevice::claim(std::uint16_t more) {
  auto* const available = reinterpret_cast<volatile vring_avail*>(memory_ + available_at);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  available->idx = static_cast<std::uint16_t>(available->idx + more);
  wake();
}

std::optional<std::uint32_t> VirtioDevice::offer(std::uint16_t head, std::chrono::milliseconds patience) {
  auto* const available = reinterpret_cast<vring_avail*>(memory_ + available_at);
  available->ring[available->idx % entries_] = head;
  claim(1);
  const auto* const used = reinterpret_cast<const volatile vring_used*>(memory_ + used_at);
  const auto late = std::chrono::steady_clock::now() + patience;
  while (used->idx == seen_) {
    if (std::chrono::steady_clock::now() > late) return std::nullopt;
    ::usleep(20);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint32_t written = used->ring[seen_ % entries_].len;
  ++seen_;
  return written;
}

}  // namespace bulkhead::turned
