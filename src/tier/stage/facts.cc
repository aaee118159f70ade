#include "tier/stage/facts.h"

#include <fcntl.h>

#include <algorithm>

#include "base/sys.h"
#include "policy/digest.h"

namespace bulkhead::tier {
namespace {

constexpr std::uint64_t max_program = 256U << 20;
constexpr std::size_t max_cpuinfo = 16U << 20;

}  // namespace

// By /proc: an O_PATH descriptor can't be read.
Result<std::string> digest_of(int file) {
  BH_TRY(const UniqueFd again, sys::open("/proc/self/fd/" + std::to_string(file), O_RDONLY));
  return sha256_hex_of(again.get(), max_program);
}

Result<std::string> processor_digest() {
  BH_TRY(const std::string all, sys::read_file("/proc/cpuinfo", max_cpuinfo));
  const std::string first = all.substr(0, all.find("\n\n"));
  std::string told;
  for (std::size_t at = 0; at < first.size();) {
    const std::size_t end = std::min(first.find('\n', at), first.size());
    const std::string line = first.substr(at, end - at);
    for (const char* key : {"vendor_id", "cpu family", "model", "flags", "CPU", "Features"}) {
      if (line.starts_with(key)) told += line + "\n";
    }
    at = end + 1;
  }
  return sha256_hex(told);
}

}  // namespace bulkhead::tier
