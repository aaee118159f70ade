#include "session/terminal/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/sys.h"
#include "session/terminal/answer_keys.h"
#include "session/terminal/drain.h"
#include "session/terminal/filter.h"
#include "session/terminal/raw_mode.h"
#include "session/terminal/tty.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t read_at_once = 64 * 1024;
constexpr std::size_t max_pending = 256 * 1024;  // shown late, then the workload waits
constexpr std::size_t max_keys = 4096;
constexpr int reads_per_turn = 8;                     // signals and helpers want their turn too
constexpr char end_of_file = 4;                       // VEOF of a fresh pty
constexpr auto last_words = std::chrono::seconds(3);  // without a byte of progress
constexpr auto moment = std::chrono::milliseconds(500);
constexpr auto before_a_stop = std::chrono::seconds(1);
// How long the pty is a row shorter, so that what runs in it notices and draws again.
constexpr auto resized_for = std::chrono::milliseconds(60);

}  // namespace

struct Terminal::State {
  explicit State(const int (&stdio)[3])
      : layout(layout_of(stdio)),
        keyboard(Tty::open(layout.keyboard)),
        display(Tty::open(layout.display)),
        raw(layout.keyboard) {}

  bool reads_keys() const {
    if (!started || input_ended || !keyboard.usable() || !master || keys.size() >= max_keys) return false;
    if (!raw.in_foreground()) return false;
    // Without raw mode the terminal may be shared, as in `bulkhead run -- make | less`: its keys
    // are not ours.
    return layout.raw || !raw.others_raw();
  }
  // While a question is open the workload waits: what it says is held where it said it.
  bool reads_pty() const { return master && !pty_ended && !question && shown.size() < max_pending; }
  bool may_ask() const {
    return started && !input_ended && !display_gone && layout.raw && raw.is_on() && raw.in_foreground() && master;
  }
  void draw();
  void end_question();

  // What the terminal would type goes to the session while its keys do, and to nobody else: not to a shell that has the
  // terminal meanwhile (a job in the background), not into a line that is being typed (no raw mode).
  void filter_output(std::string_view bytes) {
    filter.let_ask(raw.is_on());
    filter.feed(bytes, shown);
  }
  // Before the terminal is somebody else's: takes what it still has to say to the session.
  bool take_answers();

  std::uint64_t count = 0;  // of the pty's, until somebody asks

  void read_keys();
  void write_keys();
  Result<void> read_pty();
  void show();
  void set_size(const shim::WindowSize& size) const;

  Layout layout;
  Tty keyboard, display;
  RawMode raw;
  UniqueFd master;
  std::function<void(const shim::WindowSize&)> resized;  // set: the master is another kernel's, and this a lane to it
  OutputFilter filter;
  AnswerCount answers;
  std::string keys;   // on their way to the pty
  std::string shown;  // on its way to the display
  std::size_t shown_at = 0;
  bool started = false, input_ended = false, pty_ended = false, pty_quiet = false;
  bool display_gone = false, closed = false;

  struct Open {
    std::vector<std::string> lines;
    AnswerKeys keys;
    bool drawn = false;  // all of it is on the display
    std::optional<char> answer;
  };
  std::optional<Open> question;
  std::optional<std::chrono::steady_clock::time_point> resized_until;
};

Terminal::Terminal(std::unique_ptr<State> state) : state_(std::move(state)) {}
Terminal::Terminal(Terminal&&) noexcept = default;
Terminal& Terminal::operator=(Terminal&&) noexcept = default;

Terminal::~Terminal() {
  if (state_) close();
}

Result<Terminal> Terminal::open(const int (&stdio)[3]) {
  BH_CHECK(check_stdio(stdio));
  return Terminal(std::make_unique<State>(stdio));
}

const Layout& Terminal::layout() const {
  return state_->layout;
}

shim::WindowSize Terminal::window() const {
  const Layout& layout = state_->layout;
  return window_size(layout.display >= 0 ? layout.display : layout.keyboard);
}

Result<void> Terminal::attach(UniqueFd master) {
  BH_CHECK(sys::set_nonblocking(master.get(), true));
  if (!state_->layout.raw) {
    termios settings{};
    if (::tcgetattr(master.get(), &settings) != 0) return fail_errno("tcgetattr", "the session's pty", errno);
    // The user's terminal, in its own settings, echoes already, and turns line ends into what it needs.
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    if (::tcsetattr(master.get(), TCSANOW, &settings) != 0) return fail_errno("tcsetattr", "the session's pty", errno);
  }
  state_->master = std::move(master);
  return {};
}

Result<void> Terminal::attach(UniqueFd lane, std::function<void(const shim::WindowSize&)> resized) {
  BH_CHECK(sys::set_nonblocking(lane.get(), true));
  state_->master = std::move(lane);
  state_->resized = std::move(resized);
  return {};
}

bool Terminal::plain_pty() const {
  return state_->layout.any() && !state_->layout.raw;
}

Result<void> Terminal::start() {
  state_->started = true;
  return resume();
}

void Terminal::prepare(std::vector<pollfd>& fds) {
  State& s = *state_;
  if (!s.master) return;
  if (s.reads_keys()) fds.push_back({s.keyboard.fd(), POLLIN, 0});
  const int pty = (s.reads_pty() ? POLLIN : 0) | (s.keys.empty() || s.pty_ended ? 0 : POLLOUT);
  if (pty != 0) fds.push_back({s.master.get(), static_cast<short>(pty), 0});
  if (!s.shown.empty() && !s.display_gone) fds.push_back({s.display.fd(), POLLOUT, 0});
}

Result<void> Terminal::handle(const std::vector<pollfd>& fds) {
  State& s = *state_;
  bool keys = false, pty = false;
  for (const pollfd& p : fds) {
    if (p.revents == 0) continue;
    if (s.keyboard.usable() && p.fd == s.keyboard.fd() && (p.events & POLLIN) != 0) keys = true;
    if (s.master && p.fd == s.master.get()) pty = true;
  }
  if (s.resized_until && std::chrono::steady_clock::now() >= *s.resized_until) resize();
  if (keys) s.read_keys();
  s.write_keys();
  if (pty) BH_CHECK(s.read_pty());
  s.show();
  return {};
}

void Terminal::State::read_keys() {
  if (!reads_keys()) return;
  char buffer[1024];
  const auto n = keyboard.read(buffer, std::min(sizeof buffer, max_keys - keys.size()));
  if (n) {
    answers.add({buffer, *n});
    if (question) {
      const auto key = question->keys.take({buffer, *n}, std::chrono::steady_clock::now());
      if (!question->answer) question->answer = key;
      return;
    }
    keys.append(buffer, *n);
  } else if (n.error().code == 0 && !layout.raw && !keyboard.hung_up()) {
    keys += end_of_file;  // Ctrl-D at the user's terminal; it may go on reading afterwards
  } else {
    input_ended = true;
  }
}

void Terminal::State::write_keys() {
  if (keys.empty() || !master) return;
  const ssize_t n = ::write(master.get(), keys.data(), keys.size());
  if (n > 0) keys.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && errno != EAGAIN && errno != EINTR) keys.clear();
}

Result<void> Terminal::State::read_pty() {
  char buffer[read_at_once];
  for (int i = 0; i < reads_per_turn && reads_pty(); ++i) {
    const ssize_t n = ::read(master.get(), buffer, sizeof buffer);
    pty_quiet = n < 0 && errno == EAGAIN;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (n <= 0) {  // EIO: every slave is closed
      pty_ended = true;
      return {};
    }
    count += static_cast<std::uint64_t>(n);
    if (!display_gone && display.usable()) filter_output({buffer, static_cast<std::size_t>(n)});
    show();
  }
  return {};
}

void Terminal::State::show() {
  while (!shown.empty() && !display_gone) {
    const auto n = display.write(std::string_view(shown).substr(shown_at));
    if (!n) {
      display_gone = true;
      break;
    }
    if (*n == 0) break;
    shown_at += *n;
    if (shown_at == shown.size()) {
      shown.clear();
      shown_at = 0;
    }
  }
  if (display_gone) shown.clear();
  if (question && !question->drawn && shown.empty()) {
    question->drawn = true;
    question->keys.shown(std::chrono::steady_clock::now());
  }
  if (shown_at > max_pending / 2) shown.erase(0, std::exchange(shown_at, 0));
}

void Terminal::State::set_size(const shim::WindowSize& size) const {
  if (resized) return resized(size);
  set_window_size(master.get(), size);
}

void Terminal::resize() {
  State& s = *state_;
  s.resized_until.reset();
  if (s.master) s.set_size(window());
  if (s.question) s.draw();
}

void Terminal::State::draw() {
  // By place, not line after line: where lines scroll is the workload's to say.
  shown += "\x1b[2J";
  int row = 0;
  for (const std::string& line : question->lines) shown += "\x1b[" + std::to_string(++row) + ";1H" + line;
  show();
}

bool Terminal::may_ask() const {
  return !state_->question && state_->may_ask();
}

bool Terminal::ask(const std::vector<std::string>& lines, const std::string& keys, char no) {
  State& s = *state_;
  if (!may_ask()) return false;
  s.question.emplace(State::Open{lines, AnswerKeys(keys, no), false, std::nullopt});
  s.shown += s.filter.modes().set_aside();
  s.draw();
  return true;
}

bool Terminal::asking() const {
  return state_->question.has_value();
}

std::optional<char> Terminal::answered() {
  State& s = *state_;
  return s.question ? std::exchange(s.question->answer, std::nullopt) : std::nullopt;
}

void Terminal::end_question() {
  state_->end_question();
}

void Terminal::State::end_question() {
  if (!question) return;
  question.reset();
  shown += filter.modes().take_up();
  if (filter.modes().redraws() && master && !input_ended) {
    shim::WindowSize size = window_size(layout.display);
    if (size.rows > 1) --size.rows;
    set_size(size);
    resized_until = std::chrono::steady_clock::now() + resized_for;
  }
  show();
}

std::optional<std::chrono::steady_clock::time_point> Terminal::deadline() const {
  return state_->resized_until;
}

bool Terminal::State::take_answers() {
  if (!filter.asked() || !raw.is_on() || display_gone) return false;
  const std::size_t asked = filter.status_questions();
  drain_answers(keyboard, display, asked - std::min(asked, answers.seen()));
  filter.answered();
  answers = AnswerCount();
  return true;
}

void Terminal::suspend() {
  State& s = *state_;
  s.end_question();
  if (!s.raw.is_on()) return;
  // Whole sequences only, before the shell writes.
  const auto until = std::chrono::steady_clock::now() + before_a_stop;
  for (s.show(); !s.shown.empty() && std::chrono::steady_clock::now() < until; s.show()) {
    pollfd display{s.display.fd(), POLLOUT, 0};
    (void)::poll(&display, 1, 100);
  }
  // What types by itself is silent meanwhile; a workload that stops in good order has seen to the rest.
  const std::string silent = s.filter.modes().typing(false);
  if (!s.display_gone) write_within(s.display, silent, before_a_stop);
  s.raw.off(s.take_answers());
}

Result<void> Terminal::resume() {
  State& s = *state_;
  if (!s.started || s.input_ended || !s.layout.raw || !s.keyboard.usable()) return {};
  const bool was_on = s.raw.is_on();
  BH_CHECK(s.raw.on());
  // Behind what is being shown: it may hold the rest of a sequence.
  if (!was_on && s.raw.is_on()) s.shown += s.filter.modes().typing(true);
  resize();
  return {};
}

void Terminal::end_output() {
  state_->pty_ended = true;
}

void Terminal::end_input() {
  State& s = *state_;
  s.end_question();
  s.input_ended = true;
  s.keys.clear();
  s.pty_quiet = false;
  (void)s.read_pty();
  s.show();
}

std::uint64_t Terminal::take_count() {
  return std::exchange(state_->count, 0);
}

bool Terminal::flushed() const {
  const State& s = *state_;
  if (!s.master || s.display_gone) return true;
  return s.input_ended && s.shown.empty() && (s.pty_quiet || s.pty_ended);
}

void Terminal::close(bool shared) {
  State& s = *state_;
  if (std::exchange(s.closed, true) || !s.started) return;
  s.end_question();
  s.input_ended = true;
  // The slave's last writer is gone, so the kernel hands over everything it still has and then says
  // EIO.
  auto until = std::chrono::steady_clock::now() + last_words;
  const auto heard_until = std::chrono::steady_clock::now() + moment;
  while (s.master && !s.display_gone && std::chrono::steady_clock::now() < until) {
    if (shared && std::chrono::steady_clock::now() >= heard_until) s.pty_ended = true;
    if (s.pty_ended && s.shown.empty()) break;
    std::vector<pollfd> fds;
    prepare(fds);
    if (fds.empty()) break;
    const std::size_t before = s.shown.size() - s.shown_at;
    if (::poll(fds.data(), fds.size(), 100) <= 0) continue;
    if (!handle(fds)) break;
    if (s.shown.size() - s.shown_at != before) until = std::chrono::steady_clock::now() + last_words;
  }
  std::string reset = s.filter.modes().reset();
  // CAN: the display took part of a sequence and no more.
  if (!s.shown.empty()) reset.insert(0, 1, '\x18');
  if (!s.display_gone && !reset.empty()) write_within(s.display, reset, last_words);
  s.raw.off(s.take_answers());
  s.master.reset();
}

}  // namespace bulkhead::session
