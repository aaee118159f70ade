// tier/: how a workload is isolated. One interface; native/ (bubblewrap + Landlock + seccomp) and gvisor/ (a kernel in
// user space); stage/ is what both begin with; vm/ later. A tier gets a Plan in which nothing is left to decide: every
// path was opened and judged before, every setting either can be enforced or was refused by name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "policy/policy.h"
#include "room/room.h"

namespace bulkhead::tier {

// What lies over a folder that is shown in mode `review`, each opened as the folder itself is (O_PATH).
struct Layers {
  UniqueFd store;  // holds upper/ and work/, the session's uid's: what is written goes there (review/review.h)
  UniqueFd mask;   // optional: a layer between the two that nobody writes; its whiteouts hide what the folder has
};

// A host path to show, already opened: what is mounted is this descriptor, not a name that could be swapped.
struct PlannedMount {
  UniqueFd source;     // O_PATH
  std::string target;  // absolute, inside
  MountMode mode = MountMode::ro;
  std::string described = {};                   // the path as the user wrote it, for messages
  std::optional<Layers> layers = std::nullopt;  // in mode review, always
  std::string host = {};                        // where it is on the host; empty for a private copy
  // Served (is_served() of its mount): what is shown is a FUSE mount, and on this socket its /dev/fuse goes to the
  // process that serves it (keep/keep.h), which has the source.
  UniqueFd serving = {};
  bool served = false;
  std::vector<std::string> allow_control = {};  // as the policy has it
  // An output: what is shown is fresh memory of its size, and on this socket its top folder goes to who collects it.
  // The source only says where it will land.
  UniqueFd collecting = {};
  std::optional<Output> output = std::nullopt;
};

// A small file made for the session (its /etc, its CA bundle). Read-only inside.
struct PlannedFile {
  std::string target;
  std::string content;
  // Content that is not known yet when the tier starts: the tier reads this pipe to its end instead.
  UniqueFd late;
};

struct PlannedLink {
  std::string target;  // where the symlink stands
  std::string to;
};

// A sandbox's memory: saved there when the workload has ended with status 0 (`make`), or gone on from.
struct PlannedTemplate {
  PlannedMount folder;
  bool make = false;
  // SHA-256 of the files in there, where the tier has to look at them on their way: what is checked is what is used.
  std::map<std::string, std::string> digests = {};
};

// What a tier shows and allows. Later entries may lie below earlier ones.
struct Plan {
  // A root file system in the place of the host's: all else of the plan lies over it (stage/stage.h, Stage::root), and
  // `system` is empty. Read-only.
  std::optional<PlannedMount> image;
  std::vector<PlannedLink> links;    // /bin -> usr/bin, …
  std::vector<std::string> tmpfs;    // fresh, writable, each sized by limits.tmp
  std::vector<std::string> folders;  // empty, mode 0700, below one of them
  std::vector<PlannedMount> system;  // /usr, folders of /etc, toolchains: read-only, before the files
  std::vector<PlannedFile> files;
  std::vector<PlannedMount> mounts;  // the policy's, outermost first
  uid_t uid = 0;                     // the host's: inside it has the same number
  gid_t gid = 0;
  bool set_group = true;  // false: root began the session, and no file may get a set-group-ID bit
  Limits limits;
  std::optional<PlannedTemplate> saved;  // where the tier has a shape() for it
  // Where tells() of the tier: the other end of a socket of the one that is told of every process (trace/trace.h).
  UniqueFd tracing;
};

inline constexpr const char* note_mark = "note: ";
inline constexpr const char* went_on_line = "went on from what was saved";

struct Started {
  Child process;     // its end is the session's end; exit status of the workload, 128+n for a signal
  UniqueFd control;  // SEQPACKET to the shim (guest/protocol.h)
  // What the tier's program prints, for errors; read to its end. A line that begins with note_mark is for the user;
  // went_on_line says that Plan::saved was used.
  UniqueFd messages;
  UniqueFd terminal;  // own_kernel(): the other end of what the pty says and is told; unset without a pty
  // Who carries the workload's output on where the tier can't give it the user's own file; each ends after the process
  // does, once it has written everything.
  std::vector<Child> carriers;
};

// One way to isolate. start() returns once the tier's program runs; the shim inside waits for its setup and
// then at the gate, so that nothing of the workload runs before everything stands.
class Isolation {
 public:
  virtual ~Isolation() = default;
  virtual Tier tier() const = 0;
  // Names what the plan asks for and this tier can't enforce; a mode is never approximated.
  virtual Result<void> accepts(const Policy& policy) const = 0;
  // What this machine can't give the tier, in a few words each, for the session's first line.
  virtual std::vector<std::string> lacks() const { return {}; }
  // What the tier can tell of the processes inside it tells on Plan::tracing; false: nothing.
  virtual bool tells() const = 0;
  // `stdio`: the workload's 0, 1, 2; -1 where it gets the session's own pty.
  virtual Result<Started> start(const Plan& plan, const room::Room& room, const int (&stdio)[3]) const = 0;
  // The workload's kernel is not the host's (guest/protocol.h, Setup::own_kernel): Landlock, the broker and the host's
  // resource limits have nothing to hold on to there, and need not.
  virtual bool own_kernel() const = 0;
  // Bytes in use of the memory that the workload's kernel hands out, where that is not its processes' own.
  virtual std::uint64_t memory(const Child& process) const = 0;
  // The processes on the host, below `process`, that a session needs all of as long as its workload runs. More may
  // come.
  virtual std::vector<pid_t> parts(const Child&) const { return {}; }
  // Nothing runs inside: a kernel of its own, which may use the CPU for nothing, is stopped. The value: whom to
  // continue (SIGCONT), by pidfd, so that nothing can be missing for it. What can't be stopped is left as it is.
  virtual std::vector<UniqueFd> rest(const Child& process) const = 0;
  // What of this machine and the plan a template (Plan::saved) depends on, by name; an error where the tier has none.
  virtual Result<std::map<std::string, std::string>> shape(const Plan&) const {
    return fail(std::string("a template needs the tier gvisor, and this session's is ") + name_of(tier()) +
                "; add --tier gvisor");
  }
  // What the template is called that every session of this plan goes on from, if there is one and it fits: a tier whose
  // template holds nothing of anybody's. Empty: none does unless it is asked to.
  virtual std::string saved_name(const Plan&) const { return {}; }
};

// The tier that the policy names, or why this build or machine has none.
Result<std::unique_ptr<Isolation>> open_tier(const Policy& policy);

}  // namespace bulkhead::tier
