// What is said to QEMU itself, by its monitor's protocol (QMP: docs/interop/qmp-spec.txt of QEMU), while its machine
// does not run yet, or runs nothing but what is ours.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::tier::vm {

class Qmp {
 public:
  // `monitor`: a stream socket whose other end is QEMU's. An error: QEMU is gone, says what makes no sense, or does not
  // answer within `patience`; all later calls wait no longer than that, too.
  static Result<Qmp> open(UniqueFd monitor, std::chrono::milliseconds patience);

  // A command and its answer. `fd` goes along with it (getfd) unless it is -1.
  Result<void> run(const std::string& command, const nlohmann::json& arguments = nlohmann::json::object(), int fd = -1);
  // Until something happens of which `is_it` is true.
  using IsIt = std::function<bool(const std::string& event, const nlohmann::json& data)>;
  Result<void> await(const IsIt& is_it);

 private:
  explicit Qmp(UniqueFd monitor, std::chrono::milliseconds patience)
      : monitor_(std::move(monitor)), patience_(patience) {}
  Result<nlohmann::json> next(std::chrono::steady_clock::time_point late);

  UniqueFd monitor_;
  std::chrono::milliseconds patience_;
  std::string read_;
  std::vector<nlohmann::json> events_;
};

}  // namespace bulkhead::tier::vm
