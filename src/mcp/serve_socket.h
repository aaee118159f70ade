// `bulkhead mcp --socket`: streamable HTTP for many clients at once, all of one user's.
#pragma once

#include "base/result.h"
#include "mcp/mcp.h"

namespace bulkhead::mcp {

// Until SIGTERM, SIGINT or SIGHUP. Says the socket's path on standard output once it listens.
Result<int> serve_socket(const Config& config);

}  // namespace bulkhead::mcp
