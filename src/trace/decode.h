// One datagram of the sentry's: a header (its size, the kind of message and a count of what could not be sent, in the
// machine's byte order), then a protobuf message. Both are a stranger's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::trace {

inline constexpr std::size_t max_datagram = 256 * 1024;  // more than a socket's usual buffer takes
inline constexpr std::size_t max_path = 4096;            // PATH_MAX; longer ones are cut
inline constexpr std::size_t max_argument = 1024;
inline constexpr std::size_t max_arguments = 64;         // of one program
inline constexpr std::size_t max_argument_bytes = 4096;  // of all of them together
inline constexpr std::uint32_t version = 1;              // of the protocol, ours and the least of the sentry's
inline constexpr int max_pid = 4194304;                  // PID_MAX_LIMIT

// Process ids are gVisor's: what the workload sees. `pid` is what getpid(2) says (the thread group).
struct Who {
  int pid = 0;
  int thread = 0;
};
struct Began {
  Who by;
  int pid = 0;
};
struct Executed {
  Who by;
  std::string path;  // of the file that runs, resolved
  std::vector<std::string> arguments;
  bool cut = false;   // there was more
  bool runs = false;  // and a program runs: no Runs comes of it
};
// execve(2) is over, and a program runs. gVisor can't send text that is not UTF-8, and says nothing at all where a
// program, one of its arguments or of its variables is such: then this comes without an Executed before it.
struct Runs {
  Who by;
};
struct Ended {
  int pid = 0;
  int status = 0;  // wait(2)'s
};
// To write it, make it or cut it; others are not told.
struct Opened {
  Who by;
  std::string path;         // as it was said; where that is relative, behind the folder it is relative to
  std::uint32_t flags = 0;  // open(2)'s
  int error = 0;            // errno, or 0
  bool cut = false;
  bool asked = false;  // what came of it is not known
};
struct Connected {
  Who by;
  std::string family;   // inet, inet6, unix
  std::string address;  // or the socket's path; @ before the name of an abstract one
  std::uint16_t port = 0;
  int error = 0;
  bool asked = false;
};
using Happened = std::variant<Began, Executed, Runs, Ended, Opened, Connected>;

struct Told {
  std::uint32_t unsent = 0;      // how many messages the sentry could not send so far; wraps around
  std::optional<Happened> what;  // nullopt: nothing that is recorded
};

// An error: this is not what a sentry says.
Result<Told> decode(std::string_view datagram);

// Whether open(2) with these flags may change anything.
bool changes_files(std::uint32_t flags);
// Of a sockaddr where to; nullopt where that is nothing that is recorded. Who by is not said.
std::optional<Connected> connection(std::string_view address);

// The greeting: an error where it is none, or of a version that can't be understood.
Result<void> check_greeting(std::string_view datagram);
std::string greeting();

}  // namespace bulkhead::trace
