// The end of a session's terminal. What the workload asked the terminal (where is the cursor, what
// are you) may be answered after the workload is gone: the answer would be typed into the user's
// shell (attack X31).
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

#include "session/terminal/tty.h"

namespace bulkhead::session {

// Asks the terminal for its status (CSI 5 n) and throws away all input until that is answered and nothing more comes.
// `before`: as many answers to the same question of the workload's are still on their way; a terminal answers in order,
// so without this one of those would pass for ours. Bounded: a second for an answer, 50 ms of silence after it, 3 s in
// all.
void drain_answers(const Tty& keyboard, const Tty& display, std::size_t before);

// Counts answers to CSI 5 n in input, however it is cut.
class AnswerCount {
 public:
  void add(std::string_view input);
  std::size_t seen() const { return seen_; }

 private:
  std::size_t seen_ = 0, matched_ = 0;
};

// All of it, or as much as the display takes in that time.
void write_within(const Tty& display, std::string_view bytes, std::chrono::milliseconds time);

}  // namespace bulkhead::session
