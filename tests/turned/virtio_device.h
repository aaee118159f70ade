// A device of this machine's that a program of root's drives itself: the kernel's driver and what that checks are out
// of the way. Over PCI (virtio 1.1, 4.1): its registers are mapped from sysfs, and it is told to look for one queue in
// a page of 2 MB whose place in the machine's memory the kernel tells root of.
#pragma once

#define VIRTIO_RING_NO_LEGACY  // whose functions are C
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace bulkhead::turned {

class VirtioDevice {
 public:
  // `sys` is a sysfs; `kind` the device's, as in linux/virtio_ids.h; `queue` the one that is set up. What is mounted
  // through the device answers nobody any more.
  static Result<VirtioDevice> take(const std::string& sys, unsigned kind, std::uint16_t queue);

  // The page, of which the first requests_at bytes are the queue's.
  static constexpr std::size_t size = 2U << 20, requests_at = 1U << 16;
  char* memory() const { return memory_; }
  // Where the device finds that place of the page.
  std::uint64_t address(std::size_t offset) const { return physical_ + offset; }

  // The queue's descriptors, and as many that a descriptor can lead to.
  vring_desc* table() const { return reinterpret_cast<vring_desc*>(memory_); }
  vring_desc* indirect() const { return reinterpret_cast<vring_desc*>(memory_ + indirect_at); }
  std::uint64_t indirect_address() const { return address(indirect_at); }
  std::uint16_t entries() const { return entries_; }

  // Offers the chain that begins with descriptor `head`, and waits. The bytes that the device says it wrote; nullopt:
  // it gave nothing back.
  std::optional<std::uint32_t> offer(std::uint16_t head, std::chrono::milliseconds patience);
  // Says that so many chains were offered, and wakes the device.
  void claim(std::uint16_t more);

 private:
  static constexpr std::size_t available_at = 1U << 14, used_at = 1U << 15, indirect_at = 3U << 14;
  VirtioDevice() = default;
  Result<void> map(const std::string& folder);
  Result<void> find_memory();
  Result<void> begin(std::uint16_t queue);
  void wake() const;

  volatile virtio_pci_common_cfg* registers_ = nullptr;
  volatile std::uint16_t* bell_ = nullptr;
  char* bells_ = nullptr;
  std::uint32_t bell_step_ = 0;
  std::uint16_t queue_ = 0, entries_ = 0, seen_ = 0;
  char* memory_ = nullptr;
  std::uint64_t physical_ = 0;
};

}  // namespace bulkhead::turned
