#include "base/trim.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#ifndef __has_feature  // GCC
#define __has_feature(name) 0
#endif

namespace bulkhead {
namespace {

int release(dl_phdr_info* info, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    // Writable ones hold relocations and data: dropped, they would be as in the file again.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (info->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = (info->dlpi_addr + segment.p_vaddr + segment.p_memsz) & ~(page - 1);
    if (end <= begin) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): dl_iterate_phdr(3) gives numbers
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 1;  // the first is the program itself
}

}  // namespace

void release_startup_pages() {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  // Their interceptors make system calls that a confined helper may not; memory is no figure there anyway.
  (void)release;
#else
  ::malloc_trim(0);
  ::dl_iterate_phdr(release, nullptr);
#endif
}

int StartupTrim::timeout(int other) const {
  if (!at_) return other;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at_ - std::chrono::steady_clock::now()).count();
  const int own = static_cast<int>(std::max<std::int64_t>(left, 0));
  return other < 0 ? own : std::min(own, other);
}

void StartupTrim::check() {
  if (!at_ || std::chrono::steady_clock::now() < *at_) return;
  at_.reset();
  release_startup_pages();
}

}  // namespace bulkhead
