#include "tier/stage/facts.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"

namespace bulkhead::tier {
namespace {

constexpr std::uint64_t max_program = 256U << 20;
constexpr std::size_t max_cpuinfo = 16U << 20;

// Of proc(5), cpuinfo.
Result<std::vector<std::string>> first_processor() {
  BH_TRY(const std::string all, sys::read_file("/proc/cpuinfo", max_cpuinfo));
  const std::string first = all.substr(0, all.find("\n\n"));
  std::vector<std::string> lines;
  for (const auto& line : split(first, '\n')) lines.emplace_back(line);
  return lines;
}

}  // namespace

// By /proc: an O_PATH descriptor can't be read.
Result<std::string> digest_of(int file) {
  BH_TRY(const UniqueFd again, sys::open("/proc/self/fd/" + std::to_string(file), O_RDONLY));
  return sha256_hex_of(again.get(), max_program);
}

Result<std::string> processor_digest() {
  BH_TRY(const std::vector<std::string> lines, first_processor());
  std::string told;
  for (const std::string& line : lines) {
    for (const char* key : {"vendor_id", "cpu family", "model", "flags", "CPU", "Features"}) {
      if (line.starts_with(key)) told += line + "\n";
    }
  }
  return sha256_hex(told);
}

bool counts_steadily() {
  const auto lines = first_processor();
  if (!lines) return false;
  return std::ranges::any_of(*lines, [](const std::string& line) {
    const auto has = [&](const char* flag) { return (line + " ").find(flag) != std::string::npos; };
    return line.starts_with("flags") && has(" constant_tsc ") && has(" nonstop_tsc ");
  });
}

}  // namespace bulkhead::tier
