// From what one session asked for to the tightest grants that allow it: TOML for a person to read, change and put to
// use. It grants nothing by itself.
//
// Everything learned is what a workload chose to say. A word reaches the TOML outside of a comment only after the
// policy's own checks have taken it for what it is (a host, a method, a path, a query key, a media type), quoted; a
// comment holds nothing that could end it. Refused for good, and only told of in comments: a key that isn't the
// session's, what means two things, addresses of the inside.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "advice/record.h"
#include "base/result.h"

namespace bulkhead::advice {

// What a proposal may lean on.
struct Known {
  std::vector<std::pair<std::string, std::vector<Grant>>> presets;  // name, its grants
  std::map<std::string, Credential> credentials;                    // as the user's own policy defines them today
  std::string profile;                                              // the session's, where it is still there
  std::vector<Grant> profile_grants;                                // expanded; with their credentials
};

class Learner {
 public:
  void see(const Event& event);

  // Of the session: for finding out what is Known.
  const SessionStart& start() const { return start_; }

  // TOML that load_document() takes; an error only if it would not (a defect of ours). `session`: its id.
  Result<std::string> proposal(const std::string& session, const Known& known) const;

  // Of one request that was seen alone: its grant, without a word around it. An error: none may be written.
  Result<std::string> single() const;

  // One function that was asked for, as often as it was.
  struct Asked {
    std::uint64_t allowed = 0, denied = 0;
    std::set<std::string> query, headers;
    std::uint64_t largest = 0;  // body, as far as known
    bool any_size = false;      // a body whose size is not known
  };
  struct Call {
    std::string method, path, content_type;
    auto operator<=>(const Call&) const = default;
  };
  // Calls that differ in made-up segments only. Once several values were seen for each of them no more are kept.
  struct Shape {
    Call first;
    std::vector<std::set<std::string>> values;  // one for each made-up segment
  };
  struct Place {
    std::map<Call, Asked> calls;
    std::map<std::string, Shape> shapes;
    std::uint64_t allowed = 0, denied = 0, up = 0, down = 0, left_out = 0;
  };
  struct Where {
    std::string host, scheme, credential;  // scheme: of the grant, as its `protocol`
    std::uint16_t port = 0;
    auto operator<=>(const Where&) const = default;
  };

 private:
  void see_request(const RecordedRequest& request);
  void see_tunnel(const RecordedTunnel& tunnel);
  Asked* asked_for(Place& place, Call call, const std::vector<std::string_view>& segments);
  void refuse(const std::string& what, const std::string& why);

  SessionStart start_;
  SessionPolicy policy_;
  std::map<Where, Place> places_;
  std::set<std::pair<std::string, std::uint16_t>> inside_;                // host and port
  std::map<std::pair<std::string, std::string>, std::uint64_t> refused_;  // what, why
  std::size_t calls_ = 0;
  std::uint64_t requests_ = 0, allowed_ = 0, left_out_ = 0, unlisted_refusals_ = 0;
};

// Segments that differ from call to call become one `{id}` where this many were seen.
inline constexpr std::size_t several = 3;

// A commented policy to begin with: `bulkhead policy init` alone.
std::string starting_policy();

}  // namespace bulkhead::advice
