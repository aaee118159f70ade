#include "gateway/grant/address.h"

#include <algorithm>
#include <array>

namespace bulkhead::grant {
namespace {

struct Range4 {
  std::uint8_t a, b, c, d;
  unsigned bits;
  std::string_view what;
};

constexpr Range4 refused4[] = {
    {0, 0, 0, 0, 8, "this network"},
    {10, 0, 0, 0, 8, "a private network"},
    {100, 64, 0, 0, 10, "a carrier's shared network"},
    {127, 0, 0, 0, 8, "this machine"},
    {168, 63, 129, 16, 32, "a cloud's metadata service"},
    {169, 254, 0, 0, 16, "link-local or a cloud's metadata service"},
    {172, 16, 0, 0, 12, "a private network"},
    {192, 0, 0, 0, 24, "reserved for protocols"},
    {192, 0, 2, 0, 24, "reserved for documentation"},
    {192, 88, 99, 0, 24, "a relay"},
    {192, 168, 0, 0, 16, "a private network"},
    {198, 18, 0, 0, 15, "reserved for benchmarks"},
    {198, 51, 100, 0, 24, "reserved for documentation"},
    {203, 0, 113, 0, 24, "reserved for documentation"},
    {224, 0, 0, 0, 4, "multicast"},
    {240, 0, 0, 0, 4, "reserved"},
};

struct Range6 {
  std::array<std::uint8_t, 8> prefix;
  unsigned bits;  // at most 64
  std::string_view what;
};

constexpr Range6 refused6[] = {
    {{0x01, 0x00}, 64, "discarded"},
    {{0x20, 0x01, 0x00, 0x02, 0x00, 0x00}, 48, "reserved for benchmarks"},
    {{0x20, 0x01, 0x00, 0x10}, 28, "reserved for protocols"},
    {{0x20, 0x01, 0x00, 0x20}, 28, "reserved for protocols"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "reserved for documentation"},
    {{0x3f, 0xff}, 20, "reserved for documentation"},
    {{0x5f, 0x00}, 16, "reserved for protocols"},
    {{0xfc, 0x00}, 7, "a private network"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "a private network"},
    {{0xff, 0x00}, 8, "multicast"},
};

bool in_prefix(const std::uint8_t* address, const std::uint8_t* prefix, unsigned bits) {
  const unsigned whole = bits / 8, rest = bits % 8;
  if (!std::equal(prefix, prefix + whole, address)) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
  return (address[whole] & mask) == (prefix[whole] & mask);
}

std::optional<std::string_view> why_not4(const std::uint8_t* address) {
  for (const Range4& range : refused4) {
    const std::uint8_t prefix[] = {range.a, range.b, range.c, range.d};
    if (in_prefix(address, prefix, range.bits)) return range.what;
  }
  return std::nullopt;
}

// Where an IPv4 address stands in an IPv6 one, as an offset; nullopt: nowhere.
std::optional<std::size_t> embedded_at(const std::uint8_t* a) {
  static constexpr std::uint8_t zero[16] = {};
  static constexpr std::uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (std::equal(a, a + 12, zero)) return 12;                                    // compatible, ::, ::1
  if (std::equal(a, a + 10, zero) && a[10] == 0xff && a[11] == 0xff) return 12;  // mapped
  if (std::equal(a, a + 8, zero) && a[8] == 0xff && a[9] == 0xff && a[10] == 0 && a[11] == 0) return 12;  // translated
  if (std::equal(nat64, nat64 + 12, a)) return 12;  // NAT64, RFC 6052
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> why_not_dialled(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return why_not4(address.data());
  if (address.size() != 16) return "no address";
  const std::uint8_t* a = address.data();
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0 && a[3] == 0) return "a tunnel (Teredo)";
  // Deprecated with its relays (RFC 7526); what is left of it is a way around.
  if (a[0] == 0x20 && a[1] == 0x02) return "a tunnel (6to4)";
  if (const auto at = embedded_at(a)) return why_not4(a + *at);
  for (const Range6& range : refused6) {
    if (in_prefix(a, range.prefix.data(), range.bits)) return range.what;
  }
  // Global unicast is 2000::/3; nothing else is anybody's public address.
  if ((a[0] & 0xe0) != 0x20) return "no public address";
  return std::nullopt;
}

std::span<const std::uint8_t> embedded_ipv4(std::span<const std::uint8_t> address) {
  if (address.size() != 16) return {};
  const auto at = embedded_at(address.data());
  return at ? address.subspan(*at, 4) : std::span<const std::uint8_t>();
}

}  // namespace bulkhead::grant
