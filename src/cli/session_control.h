// Talking to a session that runs (session/control.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/state.h"

namespace bulkhead::cli {

class SessionControl {
 public:
  // The running session whose id begins with `id`.
  static Result<SessionControl> open(const std::string& id);

  const session::SessionInfo& session() const { return info_; }
  // One request, and its answer: an object with "ok": true. Anything else is an Error with the session's own words.
  Result<nlohmann::json> ask(const nlohmann::json& request) const;
  // The connection itself.
  UniqueFd take() { return std::move(socket_); }

 private:
  session::SessionInfo info_;
  UniqueFd socket_;
};

// Of a session's answer (docs/formats.md), for people: a grant, and what was under way and is no more.
std::string grant_line(const nlohmann::json& grant);
std::string cut_off_line(const nlohmann::json& answer);  // empty: nothing was

}  // namespace bulkhead::cli
