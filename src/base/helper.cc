#include "base/helper.h"

#include <cstdio>
#include <exception>
#include <string>

#include "base/text.h"

namespace bulkhead {
namespace {

int failed(const std::string& why) {
  std::fprintf(stderr, "%s\n", escape_for_terminal(why).c_str());
  return helper_failed;
}

}  // namespace

int run_helper(const std::function<Result<void>()>& work, std::initializer_list<int> ignored) {
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE}) (void)::signal(number, SIG_IGN);
  for (const int number : ignored) (void)::signal(number, SIG_IGN);
  try {
    const auto done = work();
    return done ? 0 : failed(done.error().message);
  } catch (const std::exception& error) {
    return failed(error.what());
  }
}

}  // namespace bulkhead
