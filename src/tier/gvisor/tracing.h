// What gVisor tells of the processes inside, and to whom (trace/trace.h). Its own name for that is `runsc trace`:
// points in its kernel, and a socket ("remote sink") that it connects to before the workload exists. If it can't, there
// is no session; what becomes of the other end later it does not mind, so others have to.
#pragma once

#include <nlohmann/json.hpp>

#include "tier/stage/stage.h"

namespace bulkhead::tier::gvisor {

inline constexpr const char* tracing_folder = "/tracing";
inline constexpr const char* tracing_file = "/tracing/points.json";  // of runsc's --pod-init-config

// The points. Of each as little as can be asked for: gVisor can't send text that is not UTF-8, and then leaves the
// whole message out, so names of the workload's choosing are asked for only where they are what it is about.
nlohmann::json tracing_configuration();

// The socket in the stage, which is listened on, and the file. The listener goes to who holds the other end of
// `tracing`.
Result<void> prepare_tracing(Stage& stage, const UniqueFd& tracing);

}  // namespace bulkhead::tier::gvisor
