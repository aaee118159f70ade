// Where a unix address leads.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/fd.h"
#include "broker/broker.h"

namespace bulkhead::broker {

struct Refused {
  int error = 0;     // for the workload: what connect(2) shall fail with
  std::string path;  // set when somebody should hear of it: the socket that was refused
};

// The path of a pathname address, or empty: an abstract or unnamed one. `bytes`: the whole
// sockaddr_un as given.
std::string_view path_in(std::string_view bytes);

// The socket at `path` as thread `tid` names it, opened (O_PATH). Refused: nothing there, not a
// socket, or not in one of the session's in-memory folders. The caller is in the workload's mount
// namespace. `own`: the devices (st_dev) of those folders.
tl::expected<UniqueFd, Refused> open_socket(const Proc& proc, pid_t tid, const std::string& path,
                                            const std::vector<std::uint64_t>& own);

}  // namespace bulkhead::broker
