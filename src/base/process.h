// Child processes: helpers of ours and the tier's program. Each starts with an empty environment and
// exactly the descriptors it was given, has a terminal session of its own (setsid: no controlling terminal),
// dies with its parent (PR_SET_PDEATHSIG) and is known by pidfd.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead {

struct ExitStatus {
  int code = 0;    // exit(2) value when signal == 0
  int signal = 0;  // the signal that ended it
  // What a shell would report: code, or 128 + signal.
  int shell() const { return signal == 0 ? code : 128 + signal; }
};

class Child {
 public:
  Child() = default;
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  ~Child();  // SIGKILLs and reaps a child nobody waited for

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // poll()able: readable when it has ended
  explicit operator bool() const { return pid_ > 0; }

  Result<void> signal(int number) const;
  Result<ExitStatus> wait();                     // blocks
  Result<std::optional<ExitStatus>> try_wait();  // nullopt: still running
  void kill_and_wait();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

struct SpawnOptions {
  // The program: an open descriptor (execveat with AT_EMPTY_PATH; the path can't be swapped meanwhile).
  int program = -1;
  std::vector<std::string> arguments;    // argv, with argv[0]
  std::vector<std::string> environment;  // KEY=value; empty by default, on purpose
  // More of it, NUL-terminated and the caller's for as long as spawn() runs: for what is not to be copied.
  std::vector<const char*> borrowed_environment;
  // The child's descriptor i is fds[i] of the parent; -1 gives /dev/null. Everything else is closed.
  std::vector<int> fds;
  // Run in the child, one after the other, before exec (setns, mounts…). A failure ends the child with its message on
  // fd 2 and exit 125. spawn() waits for `enter` only.
  std::function<Result<void>()> enter, before_exec;
  // In a pid namespace of its own, as its first process: when it dies, by whatever hand and at whatever moment, the
  // kernel kills everything it started. `enter` must leave it privileged enough (CAP_SYS_ADMIN in its user namespace).
  bool own_pid_namespace = false;
};

Result<Child> spawn(const SpawnOptions& options);

// Runs `work` in a forked child that does not exec (the holder). fds as in SpawnOptions.
Result<Child> fork_child(const std::vector<int>& fds, const std::function<int()>& work);

}  // namespace bulkhead
