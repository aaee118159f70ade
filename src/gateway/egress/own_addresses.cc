#include "gateway/egress/own_addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <memory>

#include "gateway/grant/address.h"

namespace bulkhead::egress {

Result<std::set<std::vector<std::uint8_t>>> own_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail_errno("getifaddrs", "", errno);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  std::set<std::vector<std::uint8_t>> out;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&address->sin_addr);
      out.emplace(bytes, bytes + 4);
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&address->sin6_addr);
      out.emplace(bytes, bytes + 16);
    }
  }
  return out;
}

AddressCheck address_check(std::set<std::vector<std::uint8_t>> own) {
  return [own = std::move(own)](const boost::asio::ip::address& address) -> std::optional<std::string> {
    std::vector<std::uint8_t> bytes;
    if (address.is_v4()) {
      const auto v4 = address.to_v4().to_bytes();
      bytes.assign(v4.begin(), v4.end());
    } else {
      const auto v6 = address.to_v6().to_bytes();
      bytes.assign(v6.begin(), v6.end());
    }
    if (const auto why = grant::why_not_dialled(bytes)) return std::string(*why);
    const auto inner = grant::embedded_ipv4(bytes);
    if (own.contains(bytes) || (!inner.empty() && own.contains({inner.begin(), inner.end()}))) {
      return "this machine's own";
    }
    return std::nullopt;
  };
}

}  // namespace bulkhead::egress
