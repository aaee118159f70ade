#include "keep/refusals.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace bulkhead::keep {
namespace {

constexpr std::size_t most = 1000;       // paths that are told of one by one
constexpr double burst = 50, rate = 10;  // messages at once, and a second
constexpr std::size_t longest = 1000;    // of a path, in bytes

std::string cut(std::string_view path) {
  return std::string(path.substr(0, longest));
}

}  // namespace

Refusals::Refusals(std::string mount, std::function<void(const nlohmann::json&)> tell)
    : mount_(std::move(mount)), tell_(std::move(tell)), room_(burst) {}

nlohmann::json Refusals::message(const Key& key, std::uint64_t count, bool record) const {
  const auto& [operation, path, rule] = key;
  return {{"type", "refused"}, {"mount", mount_}, {"operation", operation}, {"path", path},
          {"rule", rule},      {"count", count},  {"record", record}};
}

void Refusals::add(const char* operation, std::string_view path, std::string_view rule) {
  const std::scoped_lock held(mutex_);
  const Clock::time_point now = Clock::now();
  room_ = std::min(burst, room_ + rate * std::chrono::duration<double>(now - filled_).count());
  filled_ = now;
  Key key{operation, cut(path), rule};
  const auto known = counted_.find(key);
  if (known != counted_.end()) {
    ++known->second;
  } else if (counted_.size() == most || room_ < 1) {
    ++others_;
  } else {
    room_ -= 1;
    tell_(message(key, 1, true));
    counted_.emplace(std::move(key), 0);
  }
}

void Refusals::rest() {
  const std::scoped_lock held(mutex_);
  for (auto& [key, count] : counted_) {
    if (count > 0) tell_(message(key, count, true));
    count = 0;
  }
  if (others_ > 0) tell_(message({"", "", ""}, others_, true));
  others_ = 0;
}

}  // namespace bulkhead::keep
