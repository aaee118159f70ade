// Commands inside the session, each a `bulkhead exec` of its own, so that many can run at once and one can be ended.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "mcp/mcp.h"

namespace bulkhead::mcp {

struct Inside {
  std::vector<std::string> command;
  std::string directory;  // empty: the session's
  std::string input;
  std::chrono::seconds patience{120};
  std::size_t most = std::size_t{256} << 10;         // bytes of output, and of errors, that are kept
  std::function<void(std::string_view)> heard = {};  // output and errors as they come
  std::function<void()> passing = {};                // several times a second
};

struct Ran {
  int status = 0;  // as a shell has it
  std::string out, err;
  bool cut = false, late = false, cancelled = false;
};

// Whether anybody still waits for it.
struct Wanted {
  std::atomic<bool> cancelled = false;
  int connection = -1;  // whose end at the other side cancels; -1: none does
};

class Session {
 public:
  static Result<Session> make(const Config& config);
  Session(Session&& other) noexcept
      : config_(std::move(other.config_)),
        program_(std::move(other.program_)),
        id_(std::move(other.id_)),
        bond_(std::move(other.bond_)) {}
  Session& operator=(Session&&) = delete;
  ~Session();  // stops one of its own

  // Starts one first if need be. An error: there is none, and why. `wanted` is looked at every now and then.
  Result<Ran> run(const Inside& what, Wanted& wanted);
  // No session is started any more, and one that is just starting is given up.
  void end() { ending_.cancelled = true; }

 private:
  Session(Config config, UniqueFd program) : config_(std::move(config)), program_(std::move(program)) {}
  Result<std::string> id();
  void forget(const std::string& id);
  Result<Ran> call(std::vector<std::string> words, const Inside& what, Wanted& wanted, int passed = -1);

  Config config_;
  UniqueFd program_;  // this one
  Wanted ending_;
  std::mutex mutex_;  // of what follows
  std::string id_;
  UniqueFd bond_;  // the session ends when this is closed, also by the end of this process
};

}  // namespace bulkhead::mcp
