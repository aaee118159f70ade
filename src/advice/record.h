// One session's evidence (docs/formats.md), line by line, so that a log of any length takes no more memory than a short
// one. The lines were written by Bulkhead; what their strings say, the workload chose. A line that is not what the
// format says is counted and passed over, never half believed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead::advice {

struct SessionStart {
  std::string time;  // as evidence writes it
  std::string profile;
  std::vector<std::string> command;
};

// session.policy, as far as requests are concerned.
struct RecordedGrant {
  std::string credential;
  std::string address;                    // dialled in place of what its name resolves to, or empty
  std::vector<std::string> allow;         // "GET,HEAD /v1/{id}" for each rule
  std::vector<std::string> fingerprints;  // of each rule, as policy/json.h makes them; empty in older evidence
  std::string fingerprint;                // of the whole grant; empty in older evidence
};
struct SessionPolicy {
  std::map<std::string, RecordedGrant> grants;  // by id
};

// http.request. Only what front itself said; `method` is empty for what no reader took for a request.
struct RecordedRequest {
  std::string time;
  std::string method, scheme, host, target;  // host and target as they were sent
  std::uint16_t port = 0;
  bool allowed = false;
  std::string grant;  // id, or empty
  std::string rule;   // evidence's word for why
  std::uint16_t status = 0;
  std::uint64_t up = 0, down = 0;
  // What the head said of its body and its credentials; older evidence has none of it.
  bool detailed = false;
  std::string content_type, content_encoding;
  enum class Body { none, length, streamed } body = Body::none;
  std::uint64_t length = 0;
  std::vector<std::string> credentials;  // headers that can carry one, by name
  bool http2 = false;
  bool slot = false;                 // the grant's held the session's token
  std::vector<std::string> headers;  // by name, those that a rule has to list
  bool headers_cut = false;          // there were more
};

// net.refused: a connection that spoke something else than HTTP.
struct RecordedRefusal {
  std::uint16_t port = 0;
  std::string address, name, what;
};

// net.tunnel: an opaque connection that a tcp grant allowed.
struct RecordedTunnel {
  std::string time, grant, host, rule;
  std::uint16_t port = 0;
  std::uint64_t up = 0, down = 0;
};

// upstream.failure with what it failed for.
struct RecordedFailure {
  std::string grant, host, reason;
  std::uint16_t port = 0;
};

struct OtherEvent {
  std::string type;
};

using Event = std::variant<OtherEvent, SessionStart, SessionPolicy, RecordedRequest, RecordedRefusal, RecordedTunnel,
                           RecordedFailure>;

// One line without its newline; nullopt: not a line of evidence. Never throws.
std::optional<Event> read_event(std::string_view line);

// Longer paths are cut in evidence, and a cut one says nothing certain.
inline constexpr std::size_t longest_recorded_target = 2048;

class RecordReader {
 public:
  explicit RecordReader(UniqueFd file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  // The next event; nullopt at the end. An error is the file's, not a line's.
  Result<std::optional<Event>> next();

  std::uint64_t lines() const { return lines_; }
  std::uint64_t broken() const { return broken_; }  // lines that were passed over

 private:
  Result<bool> fill();

  UniqueFd file_;
  std::string name_, buffer_;
  std::size_t begin_ = 0, searched_ = 0;
  bool ended_ = false, skipping_ = false;
  std::uint64_t lines_ = 0, broken_ = 0;
};

// The wall clock of an event, in microseconds since 1970; nullopt: not as evidence writes it.
std::optional<std::int64_t> time_of(std::string_view time);

}  // namespace bulkhead::advice
