// Switching a machine on: as it boots, or as it was when it was saved; and saving one.
#pragma once

#include <chrono>
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

// The caller's, who keeps them; -1: none.
struct Outside {
  int messages = -1;      // where QEMU and virtiofsd print
  int tap = -1;           // the room's
  int record = -1;        // where the machine says what runs in it
  bool set_group = true;  // set-group-ID bits may be set in what is shared
};

Result<Running> boot(const Machine& machine, const Outside& outside);
// An error: it can't be gone on from. Nothing of it runs then.
Result<Running> restore(const Machine& machine, const Saved& saved, const Outside& outside);
// Boots one that has nothing of a session until it waits for the host's first word, and saves it in `folder`.
// Error::code is ETIMEDOUT where it did not say its own first word within `patience`.
Result<void> save(const Machine& machine, int folder, int messages, std::chrono::milliseconds patience);

// What the machine said last, in one line, for an error; escaped. Does not block.
std::string last_words(int console);

}  // namespace bulkhead::tier::vm
