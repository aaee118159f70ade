// Files into a session that lives, and out of it (`bulkhead cp`): tar(1) at both ends, and execute.h between them.
// Inside it is a command of the session's, with no more than its policy gives. What comes out is a stranger's: it is
// unpacked by a tar that reaches nothing but an empty folder, then looked through, and put in its place as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

struct CopySession {
  std::function<Result<UniqueFd>()> connect;  // a new connection for each command
  bool own_kernel = false;
};

struct Copied {
  std::string path;            // where it is now
  std::uint64_t files = 0;     // files, folders and links
  std::uint64_t bytes = 0;     // of files
  std::uint64_t left_out = 0;  // links that lead elsewhere, devices, FIFOs, sockets
};

// `from`: inside. `to`: on the host; into it, if it is a folder. Refused where something is already. At most `most`
// bytes.
Result<Copied> copy_out(const CopySession& session, const std::string& from, const std::string& to, std::uint64_t most);

// `from`: on the host, read with the caller's privileges. `to`: inside; into it, if it is a folder there.
Result<Copied> copy_in(const CopySession& session, const std::string& from, const std::string& to);

}  // namespace bulkhead::session
