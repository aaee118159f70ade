// mcp/: a server of the Model Context Protocol on standard input and output or a unix socket, whose tools act inside a
// session of any tier: an agent's own loop, login and network stay outside of it, and what it runs, reads and writes is
// inside.
//
//   protocol.h      messages: JSON-RPC 2.0; the revisions of the protocol there are
//   call.h          tools/call; tools.h what the tools are, and what each runs inside
//   inside.h        running it: `bulkhead exec` as a child, and `bulkhead start` for a session of the server's own
//   mcp.h           the loop of standard input and output
//   serve_socket.h  the one of a socket: listener.h the socket itself, connection.h one client's, request.h what of
//   HTTP is
//                   a message, clients.h who is there and what is under way for whom
//
// The agent is trusted with the session, not with this machine: a tool's arguments name commands and paths inside, and
// reach nothing else. What comes out of the session is text for the agent's model, and as trustworthy as any.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::mcp {

struct Config {
  std::string session;                     // its id; empty: one of the server's own, started by the first call
  std::vector<std::string> start_options;  // of `bulkhead start`, for that
  std::string socket;                      // where it listens; empty: standard input and output
};

// Until standard input ends, or a signal says so. What it started is over then.
Result<int> serve(const Config& config);

}  // namespace bulkhead::mcp
