#include "policy/units.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

struct Unit {
  const char* name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 9> size_units{{{"B", 1},
                                          {"KB", 1000},
                                          {"MB", 1000'000},
                                          {"GB", 1000'000'000},
                                          {"TB", 1000'000'000'000},
                                          {"KiB", 1ULL << 10},
                                          {"MiB", 1ULL << 20},
                                          {"GiB", 1ULL << 30},
                                          {"TiB", 1ULL << 40}}};
constexpr std::array<Unit, 4> time_units{{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
constexpr std::uint64_t year = 365ULL * 86400;

// A TOML integer is 63 bits wide; sizes stay within it so that they can be written back.
constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();

struct Parts {
  std::uint64_t number = 0;
  std::string_view unit;
};

Result<Parts> take_apart(std::string_view text, const char* how) {
  Parts parts;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  // from_chars takes no sign, no blank, no base prefix for an unsigned number.
  const auto [rest, error] = std::from_chars(begin, end, parts.number);
  if (error != std::errc{}) {
    return fail(in_quotes(text) + " is no " + how);
  }
  parts.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return parts;
}

template <std::size_t N>
Result<std::uint64_t> apply(const std::array<Unit, N>& units, std::string_view text, const char* how) {
  BH_TRY(const Parts parts, take_apart(text, how));
  for (const Unit& unit : units) {
    if (parts.unit != unit.name) continue;
    if (parts.number > largest / unit.factor) return fail(in_quotes(text) + " is too large");
    return parts.number * unit.factor;
  }
  // "4gb", "4kb": right but for the case, which is worth a hint and not worth guessing.
  for (const Unit& unit : units) {
    if (lower_ascii(parts.unit) == lower_ascii(unit.name)) {
      return fail(in_quotes(text) + ": write \"" + std::to_string(parts.number) + unit.name + "\"");
    }
  }
  return fail(in_quotes(text) + " is no " + how);
}

template <std::size_t N>
std::string in_largest_unit(const std::array<Unit, N>& units, std::uint64_t value) {
  const Unit* best = &units[0];
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0 && unit.factor > best->factor) best = &unit;
  }
  return std::to_string(value / best->factor) + best->name;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  return apply(size_units, text, "size: write a whole number with KB, MB, GB, KiB, MiB or GiB, like \"20MB\"");
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  BH_TRY(const std::uint64_t seconds,
         apply(time_units, text, "duration: write a whole number with s, m, h or d, like \"90m\""));
  if (seconds == 0 || seconds > year) {
    return fail(in_quotes(text) + ": a duration is between 1s and 365d");
  }
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

std::string size_text(std::uint64_t bytes) {
  return in_largest_unit(size_units, bytes);
}

std::string duration_text(std::chrono::seconds duration) {
  return in_largest_unit(time_units, static_cast<std::uint64_t>(duration.count()));
}

}  // namespace bulkhead
