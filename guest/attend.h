// One workload, from its Setup to its end: its pty, the gate, its restrictions, exec, and what is said about it
// (protocol.h). In a session of `run` this is the shim itself, in one that lives a child of it for each command
// (hold.h).
#pragma once

#include "guest/link.h"

namespace bulkhead::shim {

enum class Whose {
  session,  // the session ends with this workload, and everything else inside with it
  command,  // one of several
};

// The caller's 0, 1 and 2 are the workload's where Setup asks for no pty. `lane_socket`: with own_kernel and a pty,
// where its bytes go.
[[noreturn]] void attend(const Link& link, const Setup& setup, Whose whose, int lane_socket);

// What the one that holds a session needs as well.
Setup receive_setup(const Link& link);
void await_go(const Link& link);
// All signals but those that nothing stops are blocked from now on; the descriptor tells of children.
UniqueFd receive_signals();
// 0, 1 and 2 become /dev/null.
void let_go_of_stdio();
// Closes every descriptor but 0, 1, 2 and first…last, which an exec would close.
void close_others(int first, int last);
// To every process of the session's pid namespace but the caller.
void signal_session(const Setup& setup, int number);
[[noreturn]] void give_up(const Link& link, const Failed& failed);

}  // namespace bulkhead::shim
