// DNS answers, made here: no query and no name ever leaves the room (attacks D06, D07). ldns reads and writes the
// packets. A and AAAA of any well-formed name get that name's own address (names.h), so that the connection that
// follows can be refused with a reason or served; every other type exists and is empty.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateway/front/names.h"

namespace bulkhead::front {

class Dns {
 public:
  struct Options {
    // From a name as asked (no trailing dot) to its canonical form; nullopt: no host name (answered NXDOMAIN).
    std::function<std::optional<std::string>(std::string_view)> canonical;
    // Single-label names resolve only when granted.
    std::function<bool(std::string_view)> granted;
    // Whether the room has IPv6 listeners; without, AAAA is empty and nobody tries in vain.
    bool ipv6 = true;
    // Called the first time a name is asked for.
    std::function<void(std::string_view name, std::string_view type)> first_query;
  };

  Dns(NameTable& names, Options options);

  // The answer to one datagram or TCP message, at most 512 bytes; empty: drop it.
  std::string answer(std::string_view query, TokenBucket::Clock::time_point now);

 private:
  NameTable& names_;
  Options options_;
};

// May a query to this destination be answered? Multicast and broadcast would be answered by everybody.
bool is_unicast(const Address4& address);
bool is_unicast(const Address6& address);

}  // namespace bulkhead::front
