// bulkhead-preload.so: loaded into the programs of a session on gVisor of 2022 (/etc/ld.so.preload, which only glibc
// reads), because that answers EINVAL to AT_NO_AUTOMOUNT, with which coreutils look at every file. There is nothing to
// mount automatically inside, so the flag goes. A filter that answers ENOSYS instead does not do: glibc then calls
// newfstatat(2) with the same flag.
//
// It needs nothing but what every C library has; a program without one neither has it nor needs it.
#include <fcntl.h>
#include <sys/syscall.h>

namespace {

constexpr int without = ~AT_NO_AUTOMOUNT;

}  // namespace

// Not <unistd.h> and <sys/stat.h>: the second has these with types of its own.
extern "C" {

long syscall(long number, ...) noexcept;

int statx(int folder, const char* path, int flags, unsigned mask, void* out) {
  return static_cast<int>(syscall(SYS_statx, folder, path, flags & without, mask, out));
}

int fstatat(int folder, const char* path, void* out, int flags) {
  return static_cast<int>(syscall(SYS_newfstatat, folder, path, out, flags & without));
}

int fstatat64(int folder, const char* path, void* out, int flags) {
  return fstatat(folder, path, out, flags);
}

// As programs built with a glibc before 2.33 call it. NOLINTBEGIN(bugprone-reserved-identifier): glibc's names.
int __fxstatat(int, int folder, const char* path, void* out, int flags) {
  return fstatat(folder, path, out, flags);
}

int __fxstatat64(int, int folder, const char* path, void* out, int flags) {
  return fstatat(folder, path, out, flags);
}
// NOLINTEND(bugprone-reserved-identifier)
}
