// bulkhead-shim: the first program of ours inside every tier (protocol.h has the conversation).
//
//   bulkhead-shim [FD [LANE]]     FD: its end of the socket, 3 by default
//                                 LANE: FD + 1, where the pty's bytes go, if its master can't be sent out, or those of
//                                 all commands, if the session lives
//   bulkhead-shim init | alone    in a sandbox that is saved or was (first.h)
//   bulkhead-shim 0               its end is its standard input, where it gets everything else (old_kernel.h)
//
// It is the workload's parent and the leader of its terminal session. It holds nothing worth having: no
// capability, no file, not dumpable. Everything it is told comes from the supervisor; of the workload it only
// learns what wait(2) says.
#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "guest/attend.h"
#include "guest/first.h"
#include "guest/hold.h"
#include "guest/old_kernel.h"
#include "guest/own_kernel.h"
#include "guest/workload.h"

namespace bulkhead::shim {
namespace {

Result<void> drop_privileges(const Setup& setup) {
  if (::getuid() != setup.uid || ::geteuid() != setup.uid || ::getgid() != setup.gid || ::getegid() != setup.gid) {
    return fail("the session runs as uid " + std::to_string(::getuid()) + " instead of " + std::to_string(setup.uid));
  }
  // gVisor (2024) has no ambient capabilities, and says so.
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && !(setup.own_kernel && errno == EINVAL)) {
    return fail("prctl(PR_CAP_AMBIENT) failed", errno);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return fail("capset failed", errno);
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail("prctl(PR_SET_DUMPABLE) failed", errno);
  // The login's session keyring stays behind; seccomp refuses keyctl to the workload, this makes it empty too.
  // It may fail: kernels without keyrings, outer filters.
  ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  ::umask(setup.mask & 0777);
  return {};
}

[[noreturn]] void run(int socket, int lane_socket) {
  close_others(socket, std::max(socket, lane_socket));
  const Link link(socket);
  const Setup setup = receive_setup(link);
  if (setup.own_kernel != (lane_socket > 0)) give_up(link, {125, "the shim was started for another tier"});
  if (setup.own_kernel) {
    if (auto done = become(setup.uid, setup.gid); !done) give_up(link, failure(done.error()));
    if (auto done = furnish(setup); !done) give_up(link, failure(done.error()));
  }
  if (auto done = drop_privileges(setup); !done) give_up(link, failure(done.error()));
  if (setup.hold) hold(link, setup, lane_socket);
  attend(link, setup, Whose::session, lane_socket);
}

}  // namespace
}  // namespace bulkhead::shim

int main(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "init") bulkhead::shim::be_first();
  if (word == "alone") return bulkhead::shim::leave_alone();
  const int socket = argc > 1 ? ::atoi(argv[1]) : bulkhead::shim::default_socket;
  if (socket == bulkhead::shim::stdin_socket && argc == 2) {
    constexpr int usual = bulkhead::shim::default_socket;
    if (!bulkhead::shim::take_descriptors(usual)) return 125;
    bulkhead::shim::run(usual, usual + 1);
  }
  if (socket < 3) return 125;
  const int lane = argc > 2 ? ::atoi(argv[2]) : 0;
  if (lane != 0 && lane != socket + 1) return 125;
  bulkhead::shim::run(socket, lane);
}
