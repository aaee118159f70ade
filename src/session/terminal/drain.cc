#include "session/terminal/drain.h"

#include <poll.h>

#include <algorithm>

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds for_an_answer{1000}, of_silence{50}, in_all{3000};
// "Are you there" (DSR 5, ECMA-48 8.3.35), which every terminal answers with CSI 0 n.
constexpr std::string_view question = "\x1b[5n", answer = "\x1b[0n";

bool wait(int fd, short events, milliseconds time) {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, static_cast<int>(std::max<std::int64_t>(time.count(), 0))) == 1 && (p.revents & events) != 0;
}

}  // namespace

void write_within(const Tty& display, std::string_view bytes, milliseconds time) {
  const auto until = Clock::now() + time;
  while (!bytes.empty()) {
    const auto n = display.write(bytes);
    if (!n) return;
    bytes.remove_prefix(*n);
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
    if (!bytes.empty() && (left.count() <= 0 || !wait(display.fd(), POLLOUT, left))) return;
  }
}

void AnswerCount::add(std::string_view input) {
  for (const char c : input) {
    if (c != answer[matched_]) matched_ = 0;  // only its first byte is an ESC
    if (c == answer[matched_]) ++matched_;
    if (matched_ == answer.size()) {
      ++seen_;
      matched_ = 0;
    }
  }
}

void drain_answers(const Tty& keyboard, const Tty& display, std::size_t before) {
  write_within(display, question, for_an_answer);
  const auto until = Clock::now() + in_all;
  AnswerCount answers;
  while (Clock::now() < until && wait(keyboard.fd(), POLLIN, answers.seen() > before ? of_silence : for_an_answer)) {
    char buffer[1024];
    const auto n = keyboard.read(buffer, sizeof buffer);
    if (!n) return;
    answers.add({buffer, *n});
  }
}

}  // namespace bulkhead::session
