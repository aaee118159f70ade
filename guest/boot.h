// What bulkhead-init, the first program of a virtual machine, and bulkhead-machine outside it say to each other: on the
// control channel of the first command of the machine's stream (mux.h). The second command is the shim, with the
// session's own control socket, its 0, 1 and 2 where they are no pty, and what is its LANE (protocol.h).
//
//   machine                       init
//                            <-   Awake, when its kernel runs and the stream is open
//   Boot                     ->
//                            <-   Booted once everything stands, or Broken
//   (opens the second command)
//                            <-   Over, after the shim
//   (from Boot on, once a second)
//                            <-   Asks
//   the time                 ->
//
// The clock of a machine stands still while the host sleeps, so it is asked for again and again. The answer is as old
// as it took to come, which only who asked can tell.
//
// What arrives outside is hostile: a kernel that was taken over says what it likes. All of it is two bytes, but for
// Broken's text, which needs escape_for_terminal().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::shim {

inline constexpr std::size_t max_boot = 128 * 1024;  // one datagram
inline constexpr std::size_t seed_size = 64;
inline constexpr const char* port_name = "bulkhead";  // of the stream, among the machine's virtio ports
inline constexpr const char* share_tag = "bulkhead";  // of the folders that are shown, all in one

// To be mounted below the machine's root, in this order.
struct BootMount {
  enum class Kind : std::uint8_t { shown, memory };
  Kind kind = Kind::memory;
  std::string source;      // shown: a path in what is shared
  std::string target;      // absolute
  bool writable = false;   // the host's kernel decides; this is what the machine's own says of it
  std::uint64_t size = 0;  // memory: bytes
  std::uint32_t mode = 0755;
  bool operator==(const BootMount&) const = default;
};

struct Boot {
  std::uint64_t time = 0;  // nanoseconds since 1970
  std::string seed;        // seed_size bytes
  std::string root;        // a path in what is shared
  std::vector<BootMount> mounts;
  std::vector<std::string> program;  // the shim
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t files = 0;  // of what is shared, so many may be held open outside (forget.h)
  bool record = false;      // what runs is said on the other port (record.h)
  bool operator==(const Boot&) const = default;
};

struct Awake {
  bool operator==(const Awake&) const = default;
};
struct Booted {
  bool operator==(const Booted&) const = default;
};
struct Broken {
  std::string text;
  bool operator==(const Broken&) const = default;
};
struct Over {
  std::uint8_t status = 0;  // as a shell says it
  bool operator==(const Over&) const = default;
};
struct Asks {  // what time it is
  bool operator==(const Asks&) const = default;
};
using FromInit = std::variant<Awake, Booted, Broken, Over, Asks>;

// Refused: more than max_boot, a NUL in a string, a seed of another size.
Result<std::string> encode(const Boot& boot);
Result<Boot> decode_boot(std::string_view datagram);
// Nanoseconds since 1970.
std::string encode_time(std::uint64_t time);
Result<std::uint64_t> decode_time(std::string_view datagram);
std::string encode(const FromInit& message);
Result<FromInit> decode_from_init(std::string_view datagram);

}  // namespace bulkhead::shim
