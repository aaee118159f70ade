// Which key answers a question on the terminal. What was typed before the question, what a paste brings, what the
// terminal types by itself (answers to the workload's own questions, which come in pieces): none of it may be an
// answer. So a key counts only when it comes alone, and after a while in which nothing came.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::session {

class AnswerKeys {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds quiet{500};

  // `keys`: those that answer, lower case. Enter and Ctrl-C are `no`.
  AnswerKeys(std::string keys, char no) : keys_(std::move(keys)), no_(no) {}

  // All of the question is on the display since `now`; before that nothing is an answer.
  void shown(Clock::time_point now) { quiet_since_ = now; }

  // What one read brought.
  std::optional<char> take(std::string_view input, Clock::time_point now) {
    if (!quiet_since_ || input.empty()) return std::nullopt;
    const bool alone = input.size() == 1 && now - *quiet_since_ >= quiet;
    quiet_since_ = now;
    if (!alone) return std::nullopt;
    const char key = input[0] >= 'A' && input[0] <= 'Z' ? static_cast<char>(input[0] | 0x20) : input[0];
    if (key == '\r' || key == '\n' || key == '\x03') return no_;
    if (keys_.find(key) == std::string::npos) return std::nullopt;
    return key;
  }

 private:
  std::string keys_;
  char no_;
  std::optional<Clock::time_point> quiet_since_;
};

}  // namespace bulkhead::session
