#include "gateway/front/names.h"

#include <algorithm>

namespace bulkhead::front {
namespace {

constexpr std::uint32_t base4 = (198u << 24) | (18u << 16);
constexpr std::uint32_t slots = (1u << 17) - 1;  // of the /15, without the all-zeroes and all-ones addresses
constexpr Address6 base6 = {0xfd, 0x0b, 0x1b, 0xad, 0xfa, 0xce};

void put(std::uint8_t* out, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

std::uint32_t get(const std::uint8_t* in) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | in[i];
  return value;
}

}  // namespace

NameTable::NameTable(NameLimits limits) : limits_(limits), rate_(limits.new_per_second, limits.new_burst) {}

// Round and round, so that an address comes back to another name as late as possible.
std::uint32_t NameTable::next_slot() {
  do {
    last_slot_ = last_slot_ + 1 < slots ? last_slot_ + 1 : 1;
  } while (by_slot_.contains(last_slot_));
  return last_slot_;
}

std::optional<NameTable::Entry> NameTable::address_of(const std::string& name, TokenBucket::Clock::time_point now) {
  Entry entry;
  auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    if (!rate_.take(now)) return std::nullopt;
    if (order_.size() >= limits_.names) {
      by_slot_.erase(order_.back().slot);
      by_name_.erase(order_.back().name);
      order_.pop_back();
    }
    order_.push_front({name, next_slot()});
    by_slot_.emplace(order_.front().slot, order_.begin());
    found = by_name_.emplace(name, order_.begin()).first;
    entry.is_new = true;
  }
  order_.splice(order_.begin(), order_, found->second);
  const std::uint32_t slot = found->second->slot;
  put(entry.v4.data(), base4 + slot);
  entry.v6 = base6;
  put(entry.v6.data() + 12, slot);
  return entry;
}

const std::string* NameTable::by_slot(std::uint32_t slot) const {
  const auto found = by_slot_.find(slot);
  return found == by_slot_.end() ? nullptr : &found->second->name;
}

const std::string* NameTable::name_of(const Address4& address) const {
  return by_slot(get(address.data()) - base4);
}

const std::string* NameTable::name_of(const Address6& address) const {
  if (!std::equal(base6.begin(), base6.begin() + 12, address.begin())) return nullptr;
  return by_slot(get(address.data() + 12));
}

}  // namespace bulkhead::front
