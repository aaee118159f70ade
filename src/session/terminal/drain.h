// The end of a session's terminal. What the workload asked the terminal (where is the cursor, what
// are you) may be answered after the workload is gone: the answer would be typed into the user's
// shell (attack X31).
#pragma once

#include <chrono>
#include <string_view>

#include "session/terminal/tty.h"

namespace bulkhead::session {

// Asks the terminal one more thing and throws away all input until that is answered and nothing
// more comes. Bounded: a second for the answer, 50 ms of silence after it, 3 s in all.
void drain_answers(const Tty& keyboard, const Tty& display);

// All of it, or as much as the display takes in that time.
void write_within(const Tty& display, std::string_view bytes, std::chrono::milliseconds time);

}  // namespace bulkhead::session
