// bulkhead: the program people call.
#include <fcntl.h>

#include <cstdlib>
#include <exception>

#include "base/text.h"
#include "cli/app.h"
#include "cli/common.h"
#include "session/session.h"

namespace {

// A 0, 1 or 2 that is closed would be the number of the next thing that is opened: it would be written into, or
// given to the session.
void fill_standard_descriptors() {
  for (int fd = 0; fd < 3; ++fd) {
    // The lowest that is free is this one.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  try {
    return bulkhead::cli::dispatch(argc, argv);
  } catch (const std::exception& error) {  // a library's: ours are values
    return bulkhead::cli::complain(bulkhead::escape_for_terminal(error.what()), bulkhead::session::exit_failure);
  }
}
