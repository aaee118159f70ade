// bulkhead: the program people call.
#include <exception>

#include "base/text.h"
#include "cli/app.h"
#include "cli/common.h"
#include "session/session.h"

int main(int argc, char** argv) {
  try {
    return bulkhead::cli::dispatch(argc, argv);
  } catch (const std::exception& error) {  // a library's: ours are values
    return bulkhead::cli::complain(bulkhead::escape_for_terminal(error.what()), bulkhead::session::exit_failure);
  }
}
