// Switching a machine on: as it boots, or as it was when it was saved; and saving one.
#pragma once

#include <string>

#include "base/process.h"
#include "tier/vm/qemu.h"
#include "tier/vm/saved.h"

namespace bulkhead::tier::vm {

// A machine that runs. Its last words are on `console`, its stream (guest/mux.h) is `port`.
struct Running {
  Child virtiofsd, qemu;
  UniqueFd console, port;
};

// `messages`: where QEMU and virtiofsd print. `tap`: the room's; it stays the caller's.
Result<Running> boot(const Machine& machine, int messages, int tap);
// An error: it can't be gone on from. Nothing of it runs then.
Result<Running> restore(const Machine& machine, const Saved& saved, int messages, int tap);
// Boots one that has nothing of a session until it waits for the host's first word, and saves it in `folder`.
Result<void> save(const Machine& machine, int folder, int messages);

// What the machine said last, in one line, for an error; escaped. Does not block.
std::string last_words(int console);

}  // namespace bulkhead::tier::vm
