// What another policy would have done with what sessions asked for: blocked, newly allowed, or no different.
//
// Judged is the head of each recorded request, by gateway/grant/. What evidence does not hold can't be judged again:
// bodies, what headers said, and a budget only as far as the record's own times and sizes show. Where that decides,
// requests are counted as unknown.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "advice/trial.h"
#include "gateway/grant/budget.h"

namespace bulkhead::advice {

enum class Change { same_allowed, same_denied, blocked, opened, unknown };
inline constexpr std::size_t changes = 5;
const char* name_of(Change change);

// Requests of one kind: same method, place and reason; paths that differ in made-up segments only are one.
struct ReplayKind {
  Change change = Change::unknown;
  std::string what;    // `GET https://example.com/x`; hostile text, cut: escape before showing
  std::string reason;  // of the verdict now
  std::string text;    // the same for people; escaped
  std::string grant;   // the one it would go by now, or empty
  std::uint64_t count = 0;
  bool alike = false;   // others differ from `what` in made-up segments of the path
  std::string session;  // the first it was seen in
};

class Replay {
 public:
  // A session's events come between begin() and the next. `policy` is what that session would have had; judge_by() may
  // come after its session.policy, but comes before its first request. It must outlive the replay.
  void begin(const std::string& session);
  void judge_by(const Policy& policy);
  void see(const Event& event);

  std::uint64_t count(Change change) const { return counts_[static_cast<std::size_t>(change)]; }
  std::uint64_t requests() const;
  bool differs() const { return count(Change::blocked) > 0 || count(Change::opened) > 0; }
  // Everything that is not the same, the most frequent first, at most `most` kinds of each change.
  std::vector<ReplayKind> kinds(std::size_t most) const;
  // Requests that differ and are in no kind, because there are too many kinds to keep apart.
  std::uint64_t unlisted() const { return unlisted_; }

 private:
  void judge(const RecordedRequest& request);
  void judge_connection(const std::string& host, std::uint16_t port, const std::string& what,
                        const RecordedTunnel* was);
  // What only time and number show: budget, expiry, names of a wildcard. The limit that would be passed, or empty.
  std::string passed(const std::string& time, const std::string& host, std::uint64_t up, std::uint64_t down,
                     const Grant& grant);
  struct What {
    std::string text;
    std::string kind;  // the same for all that are alike
  };
  static What what_of(const RecordedRequest& request);
  bool same_as_then(const std::string& old_id, const Grant* now) const;
  void add(Change change, const What& what, const TrialAnswer& answer);

  std::string session_;
  const Policy* policy_ = nullptr;
  std::unique_ptr<Trial> trial_;
  SessionPolicy old_;
  std::optional<std::int64_t> began_;                    // of this session, in microseconds
  std::map<std::string, std::set<std::string>> labels_;  // names that only a wildcard allowed, by the new grant's id
  std::map<std::string, grant::Meter> meters_;           // of this session, by the new grant's id
  std::map<std::string, std::string> fingerprints_;      // of the new grants, by id
  std::array<std::uint64_t, changes> counts_{};
  std::map<std::string, ReplayKind> kinds_;
  std::uint64_t unlisted_ = 0;
};

}  // namespace bulkhead::advice
