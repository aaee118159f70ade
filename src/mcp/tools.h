// What the tools are. Each runs a command inside, or two; paths are the session's, relative ones below its workspace.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mcp/inside.h"

namespace bulkhead::mcp {

// As `tools/list` has them.
nlohmann::json tool_list();

struct ToolCall {
  std::string name;
  nlohmann::json arguments;
  Wanted* wanted = nullptr;
  std::function<void(std::string_view)> heard = {};  // what a command says, as it comes
  std::function<void()> passing = {};                // several times a second while one runs
};

// For the agent's model to read; `failed`: it did not do what it was to do.
struct Answer {
  std::string text;
  bool failed = false;
};

// An error: no such tool, or arguments that it does not take (InvalidParams).
Result<Answer> call_tool(Session& session, const ToolCall& call);

}  // namespace bulkhead::mcp
