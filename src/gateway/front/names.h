// Every name the workload asks for gets an address of its own, so that a connection that carries no name (no SNI)
// can still be told what was meant. The address is a hint for messages and certificates, never an identity.
//
//   IPv4  198.18.0.0/15 (RFC 2544, benchmarking: no public host is there)      198.18.0.0 + slot
//   IPv6  fd0b:1bad:face::/96 (RFC 4193, unique local)                          fd0b:1bad:face:: + slot
//
// The table is bounded (least recently used goes) and new names are rate-limited: a workload that makes names up
// gets silence, not our memory.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "gateway/tls/token_bucket.h"

namespace bulkhead::front {

using Address4 = std::array<std::uint8_t, 4>;  // network order
using Address6 = std::array<std::uint8_t, 16>;

struct NameLimits {
  std::size_t names = 4096;
  double new_per_second = 50;
  double new_burst = 512;
};

class NameTable {
 public:
  explicit NameTable(NameLimits limits);

  struct Entry {
    Address4 v4{};
    Address6 v6{};
    bool is_new = false;  // the first time this name was asked for (or again after it was dropped)
  };
  // `name` is canonical. nullopt: too many new names.
  std::optional<Entry> address_of(const std::string& name, TokenBucket::Clock::time_point now);

  // The name behind an address, or null. Valid until the next address_of().
  const std::string* name_of(const Address4& address) const;
  const std::string* name_of(const Address6& address) const;

  std::size_t size() const { return order_.size(); }

 private:
  struct Known {
    std::string name;
    std::uint32_t slot = 0;
  };
  std::uint32_t next_slot();
  const std::string* by_slot(std::uint32_t slot) const;

  NameLimits limits_;
  TokenBucket rate_;
  std::list<Known> order_;  // most recently used first
  std::unordered_map<std::string, std::list<Known>::iterator> by_name_;
  std::unordered_map<std::uint32_t, std::list<Known>::iterator> by_slot_;
  std::uint32_t last_slot_ = 0;
};

}  // namespace bulkhead::front
