// What a virtual machine says of the processes inside it: from bulkhead-init's recorder (recorder.h) over a port of its
// own, straight to bulkhead-trace on the host. Outside nothing of it is believed but that the machine said so.
//
// A frame is four bytes, the size of what follows (little-endian, at most max_record), then a byte that says what
// happened, 32 bits of how much could not be said so far (it wraps around), and the fields. Hello comes first, and
// once; Done comes last, and the host answers it with one byte (heard): until then the machine has not ended. Numbers
// of processes are the machine's own, which are those that the workload sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::shim::record {

inline constexpr const char* port_name = "bulkhead.record";  // among the machine's virtio ports
inline constexpr std::uint32_t version = 2;
inline constexpr char heard = '.';
inline constexpr std::size_t max_record = 16 * 1024;
// What is said of a process at most; a frame with more is none.
inline constexpr std::size_t max_path = 4096;
inline constexpr std::size_t max_argument = 1024;
inline constexpr std::size_t max_arguments = 64;
inline constexpr std::size_t max_argument_bytes = 4096;  // of all of them together
inline constexpr std::size_t max_address = 128;          // sizeof(sockaddr_storage)

struct Hello {
  std::uint32_t version = 0;
  bool operator==(const Hello&) const = default;
};
struct Who {
  std::uint32_t pid = 0, thread = 0;
  bool operator==(const Who&) const = default;
};
struct Forked {
  Who by;
  std::uint32_t pid = 0;
  bool operator==(const Forked&) const = default;
};
// It runs now. `path` and `arguments` are what execve(2) was called with, a relative path behind its folder.
struct Executed {
  Who by;
  std::string path;
  std::vector<std::string> arguments;
  bool cut = false;
  bool operator==(const Executed&) const = default;
};
// A program runs, and which was not seen.
struct Runs {
  Who by;
  bool operator==(const Runs&) const = default;
};
struct Ended {
  std::uint32_t pid = 0;
  std::uint32_t status = 0;  // wait(2)'s
  bool operator==(const Ended&) const = default;
};
// These two are asked for: what came of it is not seen.
struct Opening {
  Who by;
  std::string path;
  std::uint32_t flags = 0;  // open(2)'s
  bool cut = false;
  bool operator==(const Opening&) const = default;
};
struct Connecting {
  Who by;
  std::string address;  // the sockaddr's bytes
  bool operator==(const Connecting&) const = default;
};
// Nothing follows: what the session ran is over.
struct Done {
  bool operator==(const Done&) const = default;
};
using Happened = std::variant<Hello, Forked, Executed, Runs, Ended, Opening, Connecting, Done>;

struct Said {
  std::uint32_t unsent = 0;
  Happened what;
  bool operator==(const Said&) const = default;
};

// The whole frame. Texts that are longer than they may be are a mistake of the caller's: they are cut.
std::string encode(const Said& said);

// Of a frame what follows its size. Accepted is nothing but what encode() makes, of whatever numbers.
Result<Said> decode(std::string_view body);

// Takes the next whole frame's body off the front of `bytes`; nullopt: there is none yet. An error: there never will
// be.
Result<std::optional<std::string_view>> next_frame(std::string_view& bytes);

}  // namespace bulkhead::shim::record
