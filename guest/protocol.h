// guest/: what runs inside the boundary. bulkhead-shim is the first program of ours in every tier; this header
// is what it and the supervisor say to each other (library bulkhead_shim_protocol, linked by both).
//
// One SOCK_SEQPACKET socket; the shim has its end as descriptor 3 (or the number in its argv[1]). The order:
//
//   supervisor                        shim
//   Setup, in 1…14 datagrams   ->
//                              <-     Ready, with the pty's master attached when Setup asks for a pty
//   Go                         ->            (everything outside stands; the workload may run)
//                              <-     Listening, with the listener of the workload's seccomp filter attached
//                              <-     Started, after a successful exec         or  Failed
//   Signal, Continue, Window   <->    Stopped, Continued                       any number of times
//                              <-     Exited
//   (reads the master until it would block)
//   Finish                     ->     the shim ends with the workload's status
//
// Finish exists because the kernel throws away what a pty still holds when its session's leader exits
// (tty_ldisc_hangup): without it the end of a long output would be lost. Without a pty nobody awaits it: the shim
// ends after Exited, and a Finish may come too late to be sent. With Failed no Finish is awaited either: the shim
// exits with the code it named. When the socket closes, at any point, the shim kills everything inside.
//
// Where the kernel inside is not the host's (Setup::own_kernel: gVisor's), no descriptor of that kernel can be sent
// out. So Ready comes without the master, and Listening not at all; what the pty says and is told goes over a second
// socket (SOCK_STREAM, argv[2]), and the window's size comes as Window. That socket is closed before Exited is sent,
// and all the workload wrote has been written to it by then.
//
// A session that lives (Setup::hold) has no workload of its own: after Go the shim says Holding, and then starts a
// command for each Run. With that come the command's own socket, on which all of the above is said again about it, and
// its 0, 1 and 2, where they are no pty. A command that ends takes nothing with it; the supervisor closes its socket to
// have it killed. With own_kernel no descriptor can be sent in either: the second socket carries the commands' (mux.h),
// and nothing is said of Run. Signal goes to everything inside; when all of it has ended after a SIGTERM or SIGHUP, the
// shim says Exited and ends.
//
// Datagrams are at most 160 KiB. The first byte is the kind; numbers are little-endian, 32 bits unless said;
// a string is its length and its bytes, without NUL. A Setup is cut over datagrams 'S' (more follow) and 's'
// (the last); together at most 2 MiB. The supervisor takes what arrives here as hostile once the workload runs:
// decode() accepts nothing but what encode() makes, and text needs escape_for_terminal().
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bulkhead::shim {

inline constexpr std::size_t max_datagram = 160 * 1024;
inline constexpr std::size_t max_setup = 2 * 1024 * 1024;
inline constexpr int default_socket = 3;
inline constexpr std::size_t max_attached = 4;  // descriptors with one message
inline constexpr int max_abi = 99;              // no real Landlock version is near it

// What Landlock allows beneath a path, in words; landlock.h turns it into what this kernel's ABI knows.
enum class Access : std::uint8_t {
  read,   // read files, list directories
  run,    // read, execute
  write,  // read, write, create, remove, rename, truncate, device ioctls; never makes device nodes
  full,   // write, execute
};

// A path inside the session. One that is not there is skipped: nothing is allowed by it.
struct Rule {
  std::string path;
  Access access = Access::read;
  bool operator==(const Rule&) const = default;
};

// setrlimit(2): resource is RLIMIT_*; ~0 is RLIM_INFINITY. RLIMIT_CORE is 0 whatever is asked.
struct Limit {
  std::uint32_t resource = 0;
  std::uint64_t soft = 0, hard = 0;
  bool operator==(const Limit&) const = default;
};

struct WindowSize {
  std::uint16_t rows = 24, columns = 80, x_pixels = 0, y_pixels = 0;
  bool operator==(const WindowSize&) const = default;
};

// A symbolic link to make inside.
struct PlacedLink {
  std::string path, to;
  bool operator==(const PlacedLink&) const = default;
};

struct Setup {
  std::vector<std::string> arguments;    // argv; arguments[0] is searched in the environment's PATH
  std::vector<std::string> environment;  // KEY=value, complete: nothing is inherited
  std::string directory = "/";           // working directory, inside
  bool pty[3] = {false, false, false};   // which of 0, 1, 2 shall be the session's own pty
  WindowSize window;
  std::vector<Limit> limits;
  bool landlock = true;            // false: no Landlock at all, for tests and for kernels of our own
  bool scope = true;               // Landlock scopes abstract unix sockets and signals to the workload (ABI 6)
  std::vector<Rule> rules;         // what Landlock allows of the file system; all else is refused
  std::vector<std::string> own;    // the session's in-memory folders: Listening says which devices they are
  std::uint32_t mask = 022;        // umask(2)
  std::uint32_t uid = 0, gid = 0;  // the shim refuses to go on as anybody else
  // The shim runs in a pid namespace made for this session, so that kill(-1) reaches the session and no more.
  bool own_pid_namespace = true;
  // The shim is uid 0 of a kernel of the session's own: it maps uid and gid onto that, makes `folders` (mode 0700) and
  // `links` in what is empty yet, and restricts with that kernel's means (no Landlock, nobody who answers connect(2)).
  bool own_kernel = false;
  bool set_group = true;   // set-group-ID bits may be set
  bool plain_pty = false;  // own_kernel: the pty neither echoes nor turns line ends into what a screen needs
  std::vector<std::string> folders;
  std::vector<PlacedLink> links;
  bool hold = false;  // no command yet (`arguments` are none); there will be Runs
  bool operator==(const Setup& other) const;
};

// Supervisor -> shim.
struct Go {
  bool operator==(const Go&) const = default;
};
struct Signal {
  int number = 0;           // 1…64
  bool foreground = false;  // to the pty's foreground process group (Ctrl-C); else to the workload's own group
  bool operator==(const Signal&) const = default;
};
struct Continue {  // SIGCONT to all inside; the workload's group becomes the foreground again
  bool operator==(const Continue&) const = default;
};
struct Finish {
  bool operator==(const Finish&) const = default;
};
struct Window {  // own_kernel: the pty's size from now on; its foreground is told (SIGWINCH)
  WindowSize size;
  bool operator==(const Window&) const = default;
};
struct Run {  // attached: the command's socket, then those of 0, 1, 2 that are `given`
  bool given[3] = {false, false, false};
  bool operator==(const Run& o) const {
    return given[0] == o.given[0] && given[1] == o.given[1] && given[2] == o.given[2];
  }
};
using ToShim = std::variant<Go, Signal, Continue, Finish, Window, Run>;

// Shim -> supervisor.
struct Ready {
  bool pty = false;  // exactly one descriptor is attached: the master; none with own_kernel
  bool operator==(const Ready&) const = default;
};
struct Listening {  // exactly one descriptor is attached: the workload's seccomp listener
  // st_dev of each of Setup::own that is there, as it was before the workload could put something else in its place.
  std::vector<std::uint64_t> devices;
  bool operator==(const Listening&) const = default;
};
struct Holding {  // Setup::hold: commands may come. The devices as in Listening, before any command ran
  std::vector<std::uint64_t> devices;
  bool operator==(const Holding&) const = default;
};
struct Empty {  // Setup::hold: nothing runs inside any more, after so many commands that were begun
  std::uint32_t begun = 0;
  bool operator==(const Empty&) const = default;
};
struct Started {
  pid_t pid = 0;         // as counted inside
  int landlock_abi = 0;  // 0: this kernel has no Landlock, nothing was restricted by it
  bool operator==(const Started&) const = default;
};
struct Stopped {
  int signal = 0;
  bool operator==(const Stopped&) const = default;
};
struct Continued {  // may be missing when the next state follows at once (wait(2) tells only the last)
  bool operator==(const Continued&) const = default;
};
struct Exited {
  int code = 0;
  int signal = 0;  // when not 0, what ended it
  int shell() const { return signal == 0 ? code : 128 + signal; }
  bool operator==(const Exited&) const = default;
};
// The workload was never started: 125 a boundary failed, 126 not executable, 127 not found. `text` is one
// line without "bulkhead: " in front, for the supervisor to print on its stderr.
struct Failed {
  int code = 125;
  std::string text;
  bool operator==(const Failed&) const = default;
};
using ToSupervisor = std::variant<Ready, Listening, Holding, Empty, Started, Stopped, Continued, Exited, Failed>;

// The datagrams in the order they are to be sent (on a blocking socket: together they may exceed its buffer).
// Refused: no arguments, a NUL in a string, more than max_setup bytes.
Result<std::vector<std::string>> encode(const Setup& setup);
std::string encode(const ToShim& message);
std::string encode(const ToSupervisor& message);

Result<ToShim> decode_to_shim(std::string_view datagram);
Result<ToSupervisor> decode_to_supervisor(std::string_view datagram);

// Puts a Setup together again.
class SetupReader {
 public:
  // True when that was the last datagram.
  Result<bool> add(std::string_view datagram);
  Result<Setup> finish() const;

 private:
  std::string body_;
};

}  // namespace bulkhead::shim
