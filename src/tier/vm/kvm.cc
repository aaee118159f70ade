#include "tier/vm/kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>

#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::tier::vm {
namespace {

// Of its own time: a processor that is one takes two milliseconds, and one that is emulated takes seconds. Of
// everybody's, where there are many.
constexpr std::uint64_t own_patience = 60, patience = 500, step = 5;  // milliseconds
constexpr std::size_t memory_size = 2U << 20;
constexpr std::uint64_t rounds = 2'000'000;

// dec rcx; jnz -5; pxor xmm0, xmm0; paddd xmm0, xmm0; mov dx, 0x3f8; mov al, 'O'; out dx, al; hlt
constexpr std::array<unsigned char, 21> program{0x48, 0xff, 0xc9, 0x75, 0xfb, 0x66, 0x0f, 0xef, 0xc0, 0x66, 0x0f,
                                                0xfe, 0xc0, 0x66, 0xba, 0xf8, 0x03, 0xb0, 0x4f, 0xee, 0xf4};
constexpr std::uint64_t program_at = 0x1000, tables_at = 0x2000;

struct Mapped {
  void* at = MAP_FAILED;
  std::size_t size = 0;
  Mapped(int fd, std::size_t bytes, int flags)
      : at(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0)), size(bytes) {}
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (at != MAP_FAILED) ::munmap(at, size);
  }
  explicit operator bool() const { return at != MAP_FAILED; }
};

// 64-bit mode, the first 2 MiB mapped to themselves (Intel SDM 3A, 4.5).
bool set_registers(int processor) {
  kvm_sregs special{};
  if (::ioctl(processor, KVM_GET_SREGS, &special) != 0) return false;
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = 8;
  segment.present = segment.s = segment.g = segment.l = 1;
  segment.type = 11;
  special.cs = segment;
  segment.selector = 16;
  segment.type = 3;
  segment.l = 0;
  segment.db = 1;
  special.ds = special.es = special.fs = special.gs = special.ss = segment;
  special.cr3 = tables_at;
  special.cr4 |= 1U << 5 | 3U << 9;  // PAE, SSE
  special.cr0 = 0x80050033;          // paging, protection
  special.efer = 0x500;              // long mode
  kvm_regs registers{};
  registers.rip = program_at;
  registers.rsp = 0x8000;
  registers.rflags = 2;
  registers.rcx = rounds;
  return ::ioctl(processor, KVM_SET_SREGS, &special) == 0 && ::ioctl(processor, KVM_SET_REGS, &registers) == 0;
}

bool count() {
  const auto kvm = sys::open("/dev/kvm", O_RDWR);
  if (!kvm || ::ioctl(kvm->get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) return false;
  const UniqueFd machine(::ioctl(kvm->get(), KVM_CREATE_VM, 0UL));
  if (!machine) return false;
  (void)::ioctl(machine.get(), KVM_SET_TSS_ADDR, 0xfffbd000UL);
  const Mapped memory(-1, memory_size, MAP_SHARED | MAP_ANONYMOUS);
  if (!memory) return false;
  auto* const bytes = static_cast<unsigned char*>(memory.at);
  ::memcpy(bytes + program_at, program.data(), program.size());
  const std::uint64_t tables[] = {0x3003, 0x4003, 0x83};
  for (std::size_t i = 0; i < 3; ++i) ::memcpy(bytes + tables_at + i * 0x1000, &tables[i], sizeof tables[i]);
  kvm_userspace_memory_region region{};
  region.memory_size = memory_size;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory.at);
  if (::ioctl(machine.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) return false;
  const UniqueFd processor(::ioctl(machine.get(), KVM_CREATE_VCPU, 0UL));
  const int size = ::ioctl(kvm->get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (!processor || size < static_cast<int>(sizeof(kvm_run))) return false;
  const Mapped state(processor.get(), static_cast<std::size_t>(size), MAP_SHARED);
  if (!state || !set_registers(processor.get())) return false;
  const auto* const run = static_cast<const kvm_run*>(state.at);
  for (bool said = false;;) {
    if (::ioctl(processor.get(), KVM_RUN, 0) != 0) return false;
    if (run->exit_reason == KVM_EXIT_HLT) return said;
    if (run->exit_reason != KVM_EXIT_IO) return false;
    said = true;
  }
}

}  // namespace

bool kvm_is_usable() {
  auto child = fork_child({-1, -1, -1}, [] { return count() ? 0 : 1; });
  if (!child) return false;
  clockid_t clock{};
  if (::clock_getcpuclockid(child->pid(), &clock) != 0) return false;
  pollfd p{child->pidfd(), POLLIN, 0};
  for (std::uint64_t waited = 0; ::poll(&p, 1, step) != 1; waited += step) {
    timespec used{};
    (void)::clock_gettime(clock, &used);
    const auto own =
        static_cast<std::uint64_t>(used.tv_sec) * 1000 + static_cast<std::uint64_t>(used.tv_nsec) / 1'000'000;
    if (waited >= patience || own >= own_patience) return false;
  }
  const auto ended = child->wait();
  return ended && ended->shell() == 0;
}

}  // namespace bulkhead::tier::vm
