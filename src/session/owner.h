// What the session's owner says while it runs: taking grants back, loading the policy again, an answer at the terminal;
// and who asks for a session that was made ahead.
// The supervisor's part in it; control.h is the socket, live_grants.h the bookkeeping, gateway/update.h what front and
// egress are told.
//
// One request after another: who asks meanwhile waits. A request is answered when front and every egress have done it,
// and a gateway that has not within a few seconds ends the session: it may be one that was taken over.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "evidence/evidence.h"
#include "session/commands.h"
#include "session/control.h"
#include "session/helpers.h"
#include "session/live_grants.h"
#include "session/session.h"

namespace bulkhead::session {

class Owner {
 public:
  using Clock = std::chrono::steady_clock;

  // The socket, and the file that says whether a session that lives is claimed, with the privileges of whoever starts
  // the session.
  Result<void> open(int session_directory, bool lives);
  // From here on requests are heard. `options` as it was asked for, `grants` those of it that hold; the references
  // outlive this. `commands` gets those that want a command begun.
  void begin(const Options& options, const std::vector<Grant>& grants, Helpers& helpers, evidence::Recorder& recorder,
             Commands& commands);

  // Descriptors to wait for, now.
  std::vector<int> listening() const;
  // One of them is readable. An error ends the session.
  Result<void> ready(int fd);
  // For what the person at the terminal is asked (ask.h). Only while nothing else is under way (busy()).
  bool busy() const { return applying_.has_value(); }
  const std::vector<Grant>& held() const { return held_; }
  Result<void> can_grant(const std::vector<Grant>& grants) const;
  // Beside what holds, recorded as `event` with `fields` and the grants' ids, on the disk before it does. They hold
  // once busy() is over. Their ids. What can't be granted is asked first; an error ends the session. `kept`: they are
  // in the policy's file by now.
  Result<std::vector<std::string>> grant(const std::vector<Grant>& grants, bool kept, const char* event,
                                         nlohmann::json fields);
  // Ends grants that were for one request.
  Result<void> withdraw(const std::vector<std::string>& ids);

  // A helper's {"type":"applied"}. False: nobody asked it for that.
  bool applied(bool front, const nlohmann::json& message);

  std::optional<Clock::time_point> deadline() const;
  // An error ends the session: a helper has not done its part.
  Result<void> check(Clock::time_point now);

 private:
  struct Applying {
    std::size_t missing = 0;  // answers
    // Requests of the workload's that ended, as front and as all egress together counted them: one that is told first
    // ends them for the other.
    std::uint64_t cut = 0, cut_by_egress = 0;
    nlohmann::json answer;  // for who asked
    Clock::time_point until;
  };
  Result<nlohmann::json> handle(const nlohmann::json& request);
  Result<nlohmann::json> about() const;
  Result<nlohmann::json> revoke(const nlohmann::json& request);
  Result<nlohmann::json> reload(const nlohmann::json& request);
  Result<nlohmann::json> close(const nlohmann::json& request);
  Result<nlohmann::json> claim();
  Result<void> apply(nlohmann::json answer);
  // To the managed policy as it is now, whoever asks for them.
  Result<std::vector<Grant>> held_to(std::vector<Grant> grants) const;

  Control control_;
  UniqueFd claimed_;  // the file of that name (state/state.h)
  bool is_claimed_ = false;
  LiveGrants live_;
  std::vector<Grant> held_;  // as last told
  const Options* options_ = nullptr;
  std::set<std::uint16_t> ports_;  // there are listeners for
  Helpers* helpers_ = nullptr;
  Commands* commands_ = nullptr;
  evidence::Recorder* recorder_ = nullptr;
  std::optional<Applying> applying_;
  std::uint64_t updates_ = 0;
};

}  // namespace bulkhead::session
