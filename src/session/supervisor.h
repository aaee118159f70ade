// The supervisor's life with one session: starts everything in parallel, opens the gate once all of it stands,
// relays the terminal, and ends the session as soon as any part of it is gone. Single-threaded, one poll(2).
#pragma once

#include "room/room.h"
#include "session/identity.h"
#include "session/session.h"
#include "session/state/state.h"

namespace bulkhead::session {

// The program that makes the room. Opened with the caller's privileges: Bulkhead may stand where only root gets in.
Result<UniqueFd> open_holder();

// 0, 1 and 2 become /dev/null: whoever started a session that lives need not stay.
Result<void> let_go_of_stdio();

// `directory`: the session's own, already locked. `room`: as begun; started as root an empty one, because this then
// runs in a process of its own that gives root up on the way (run.cc) and begins it afterwards. The value is the exit
// status for the shell.
Result<int> supervise(const Options& options, const Paths& paths, const Identity& identity, SessionDir& directory,
                      room::Pending room);

}  // namespace bulkhead::session
