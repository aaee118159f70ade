// tools/call, as both transports have it.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "mcp/inside.h"
#include "mcp/protocol.h"

namespace bulkhead::mcp {

inline constexpr std::size_t max_calls = 16;  // at once, all clients together
inline constexpr const char* too_many_calls = "sixteen calls are under way already; wait for one of them";

struct WhileItRuns {
  std::function<void(const nlohmann::json&)> tell;  // notifications, where the client asked for them
  std::function<void()> passing = {};               // several times a second
};

// Runs the tool and returns the answer; null: it was cancelled, and nobody waits for one.
nlohmann::json answer_call(Session& session, const Incoming& incoming, Wanted& wanted, const WhileItRuns& meanwhile);

// Has the client asked for notifications about this call?
bool wants_progress(const Incoming& incoming);

}  // namespace bulkhead::mcp
