#include "session/terminal/layout.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bulkhead::session {

Layout layout_of(const int (&stdio)[3]) {
  Layout layout;
  for (int i = 0; i < 3; ++i) layout.pty[i] = ::isatty(stdio[i]) == 1;
  if (layout.pty[1]) {
    layout.display = stdio[1];
    // `generate | bulkhead run -- less`: keys come from the terminal itself, as less(1) itself
    // would read them.
    layout.keyboard = layout.pty[0] ? stdio[0] : stdio[1];
    layout.raw = true;
  } else {
    if (layout.pty[0]) layout.keyboard = stdio[0];
    if (layout.pty[2]) layout.display = stdio[2];
    if (layout.display < 0 && layout.pty[0]) layout.display = stdio[0];
  }
  return layout;
}

Result<void> check_stdio(const int (&stdio)[3]) {
  static constexpr const char* names[] = {"standard input", "standard output", "standard error"};
  for (int i = 0; i < 3; ++i) {
    struct stat st{};
    if (::fstat(stdio[i], &st) != 0) continue;  // closed: the workload gets /dev/null
    const int flags = ::fcntl(stdio[i], F_GETFL);
    const char* what = S_ISDIR(st.st_mode) ? "a folder" : S_ISBLK(st.st_mode) ? "a block device" : nullptr;
    if (flags >= 0 && (flags & O_PATH) != 0) what = "a path without access";
    if (what != nullptr) {
      return fail(std::string(names[i]) + " is " + what + ", which would lead around the boundary; give it a file, a " +
                  "pipe or /dev/null");
    }
  }
  return {};
}

shim::WindowSize window_size(int tty) {
  winsize size{};
  if (tty < 0 || ::ioctl(tty, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
}

void set_window_size(int tty, const shim::WindowSize& size) {
  const winsize value{size.rows, size.columns, size.x_pixels, size.y_pixels};
  (void)::ioctl(tty, TIOCSWINSZ, &value);
}

}  // namespace bulkhead::session
