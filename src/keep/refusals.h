// What Protection refused, told to the supervisor: evidence, and the session's last lines. A workload can be refused as
// often as it likes, so each operation on each path is told once, a few a second, and only counted after that.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <tuple>

namespace bulkhead::keep {

class Refusals {
 public:
  // `mount`: what the messages call the folder.
  Refusals(std::string mount, std::function<void(const nlohmann::json&)> tell);

  void add(const char* operation, std::string_view path, std::string_view rule);
  // What was counted and not told yet; at the session's end.
  void rest();

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::tuple<std::string, std::string, std::string>;  // operation, path, rule
  nlohmann::json message(const Key& key, std::uint64_t count, bool record) const;

  const std::string mount_;
  const std::function<void(const nlohmann::json&)> tell_;
  std::mutex mutex_;
  std::map<Key, std::uint64_t> counted_;  // since it was told
  std::uint64_t others_ = 0;
  double room_;
  Clock::time_point filled_ = Clock::now();
};

}  // namespace bulkhead::keep
