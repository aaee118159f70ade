#include "tier/vm/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "tier/stage/facts.h"
#include "tier/vm/qemu.h"

namespace bulkhead::tier::vm {
namespace {

constexpr std::uint64_t default_memory = 1ULL << 30;
constexpr std::uint64_t default_processors = 2;
constexpr std::size_t piece = 256U << 10;  // stays in a processor's cache
constexpr std::size_t max_map = 64U << 20;
constexpr std::size_t max_state = 64U << 20;

struct Run {
  std::uint64_t first = 0, count = 0;  // pages
};
constexpr std::size_t run_bytes = 16;

void append(std::string& out, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(number >> (8 * i) & 0xff));
}

std::uint64_t number_at(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

Result<void> is_as_made(const char* name, const std::string& found, const std::string& expected) {
  return found == expected ? Result<void>() : fail(std::string("its ") + name + " is not as it was made");
}

Result<void> read_exactly(int fd, char* to, std::size_t size, const char* name) {
  while (size > 0) {
    const ssize_t n = ::read(fd, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", name, errno);
    if (n == 0) return fail(std::string("its ") + name + " is too short");
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> write_at(int fd, std::string_view bytes, std::uint64_t at, const char* name) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write", name, errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

// Within `pages`, in order, none twice.
Result<std::vector<Run>> runs_in(std::string_view map, std::uint64_t pages) {
  if (map.size() % run_bytes != 0) return fail("its map makes no sense");
  std::vector<Run> out;
  std::uint64_t next = 0;
  for (std::size_t at = 0; at < map.size(); at += run_bytes) {
    const Run run{number_at(map, at), number_at(map, at + 8)};
    if (run.first < next || run.first > pages || run.count == 0 || run.count > pages - run.first) {
      return fail("its map makes no sense");
    }
    next = run.first + run.count;
    out.push_back(run);
  }
  return out;
}

struct Mapped {
  const char* at = nullptr;
  std::size_t size = 0;
  Mapped(int fd, std::size_t bytes) : size(bytes) {
    void* const mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) at = static_cast<const char*>(mapped);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (at != nullptr) ::munmap(const_cast<char*>(at), size);
  }
};

bool is_zero(const char* page) {
  return page[0] == 0 && ::memcmp(page, page + 1, page_size - 1) == 0;
}

// What was never written is a hole, and is not looked at.
std::vector<Run> runs_of(int memory, const Mapped& mapped) {
  std::vector<Run> out;
  for (off_t at = 0; (at = ::lseek(memory, at, SEEK_DATA)) >= 0;) {
    const off_t end = ::lseek(memory, at, SEEK_HOLE);
    for (; at < end; at += static_cast<off_t>(page_size)) {
      if (is_zero(mapped.at + at)) continue;
      const std::uint64_t page = static_cast<std::uint64_t>(at) / page_size;
      if (!out.empty() && out.back().first + out.back().count == page) {
        ++out.back().count;
      } else {
        out.push_back({page, 1});
      }
    }
  }
  return out;
}

Result<UniqueFd> new_file(int folder, const char* name) {
  return sys::open_at(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

Result<std::string> small_file(int fd, std::size_t most, const char* name, const std::string& expected) {
  BH_TRY(std::string bytes, sys::read_all(fd, most, name));
  BH_CHECK(is_as_made(name, sha256_hex(bytes), expected));
  return bytes;
}

Result<void> read_pages(int pages, const std::vector<Run>& runs, int memory, const std::string& expected) {
  Sha256 digest;
  std::vector<char> buffer(piece);
  for (const Run& run : runs) {
    std::uint64_t at = run.first * page_size;
    for (const std::uint64_t end = at + run.count * page_size; at < end;) {
      const std::size_t size = std::min<std::uint64_t>(buffer.size(), end - at);
      BH_CHECK(read_exactly(pages, buffer.data(), size, pages_name));
      const std::string_view bytes(buffer.data(), size);
      digest.add(bytes);
      BH_CHECK(write_at(memory, bytes, at, "the machine's memory"));
      at += size;
    }
  }
  if (::read(pages, buffer.data(), 1) != 0) return fail("its pages are too many");
  return is_as_made(pages_name, digest.hex(), expected);
}

}  // namespace

Size size_of(const Limits& limits) {
  const long online = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  return {limits.memory.value_or(default_memory) >> 20 << 20,
          std::min<std::uint64_t>(limits.cpus.value_or(default_processors), static_cast<std::uint64_t>(online))};
}

std::string saved_name(const Size& size) {
  return "vm-" + std::to_string(size.memory >> 20) + "MiB-" + std::to_string(size.processors);
}

Result<std::map<std::string, std::string>> saved_shape(const Parts& parts, bool kvm) {
  std::map<std::string, std::string> out;
  out["bulkhead"] = BULKHEAD_VERSION;
  // The system's own file: another one has another date.
  BH_TRY(const UniqueFd qemu, sys::open(qemu_path, O_PATH));
  BH_TRY(const struct stat st, sys::stat_fd(qemu.get(), qemu_path));
  out["qemu"] = std::to_string(st.st_size) + " bytes of " + std::to_string(st.st_mtim.tv_sec);
  BH_TRY(const std::string kernel, digest_of(parts.kernel.get()));
  BH_TRY(const std::string initrd, digest_of(parts.initrd.get()));
  out["machine"] = sha256_hex(kernel + initrd + join(hardware({.memory = 0, .processors = 1, .kvm = kvm}), "\n"));
  out["accelerator"] = kvm ? "kvm" : "tcg";
  // An emulated one's kernel knows how fast the host's counts.
  BH_TRY(out["processor"], processor_digest());
  return out;
}

Result<void> write_saved(int folder, int memory, int state) {
  BH_TRY(const struct stat st, sys::stat_fd(memory, "the machine's memory"));
  const Mapped mapped(memory, static_cast<std::size_t>(st.st_size));
  if (mapped.at == nullptr) return fail_errno("mmap", "the machine's memory", errno);
  const std::vector<Run> runs = runs_of(memory, mapped);
  BH_TRY(const UniqueFd pages, new_file(folder, pages_name));
  std::string map;
  for (const Run& run : runs) {
    append(map, run.first);
    append(map, run.count);
    BH_CHECK(sys::write_all(pages.get(), std::string_view(mapped.at + run.first * page_size, run.count * page_size),
                            pages_name));
  }
  BH_TRY(const UniqueFd map_file, new_file(folder, map_name));
  BH_CHECK(sys::write_all(map_file.get(), map, map_name));
  if (::lseek(state, 0, SEEK_SET) != 0) return fail_errno("lseek", state_name, errno);
  BH_TRY(const std::string told, sys::read_all(state, max_state, state_name));
  BH_TRY(const UniqueFd state_file, new_file(folder, state_name));
  return sys::write_all(state_file.get(), told, state_name);
}

Result<UniqueFd> read_saved(const Saved& saved, int memory, std::uint64_t bytes) {
  BH_TRY(const std::string map, small_file(saved.map.get(), max_map, map_name, saved.map_sha256));
  BH_TRY(const std::vector<Run> runs, runs_in(map, bytes / page_size));
  BH_CHECK(read_pages(saved.pages.get(), runs, memory, saved.pages_sha256));
  BH_TRY(const std::string state, small_file(saved.state.get(), max_state, state_name, saved.state_sha256));
  return sys::memory_file("state", state);
}

}  // namespace bulkhead::tier::vm
