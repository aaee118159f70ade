// `bulkhead run --ask` in the supervisor: between front, which asks (gateway/question.h), the terminal on which the
// person is asked, the grants that hold (owner.h) and the evidence. What happens in which order is asking.h's.
#pragma once

#include <deque>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "advice/propose.h"
#include "session/asking.h"
#include "session/policy_file.h"
#include "session/session.h"

namespace bulkhead::evidence {
class Recorder;
}

namespace bulkhead::session {

class Owner;
class Terminal;

// Tells front which questions are answered, in order, and never waits: what front has no room for stays. An error is a
// front that asks and does not hear.
class Answers {
 public:
  explicit Answers(int front) : front_(front) {}
  Result<void> add(std::uint64_t number);
  Result<void> flush();

 private:
  const int front_;
  std::deque<std::uint64_t> unsaid_;
};

// What the terminal has to be able to do: show a question on a screen of its own. Empty: it can.
std::string why_not_asked(const char* terminal_kind);

class Ask {
 public:
  using Clock = std::chrono::steady_clock;
  Ask();
  ~Ask();

  // What has to be read with the caller's privileges. `keeps`: an answer can go into the user's policy file.
  Result<void> prepare(const Options& options, bool keeps);
  // From here on front is heard. The references outlive this.
  void begin(const Options& options, Terminal& terminal, Owner& owner, evidence::Recorder& recorder, int front);

  // A message of front's, of a type that is about a question. False: it is not. An error ends the session.
  Result<bool> heard(const nlohmann::json& message);
  Result<void> step(Clock::time_point now);
  std::optional<Clock::time_point> deadline() const;
  Result<void> resized();
  Result<void> close();
  std::vector<std::string> summary() const;

 private:
  class World;
  advice::Known known_;
  std::optional<PolicyFile> file_;
  std::string no_file_;
  std::unique_ptr<World> world_;
  std::optional<Asking> asking_;
};

}  // namespace bulkhead::session
