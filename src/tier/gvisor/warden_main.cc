// bulkhead-warden: the first process of the pid namespace of a session that is restored from a template, or makes one
// (gvisor.h). Without templates that is runsc itself; with one several of its commands have to run, one after another,
// and somebody has to collect the sandbox when its maker has ended.
//
//   bulkhead-warden make|restore FLAG…      FLAGs are runsc's, ahead of its command
//
// Descriptors: the workload's 0, 1, 2; the shim's 3, 4; runsc itself 5; where messages go 6. It is in the session's
// stage, where nothing of the host's is; it ends with the workload's status, and everything here ends with it.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "tier/gvisor/saved.h"

namespace bulkhead::tier::gvisor {
namespace {

constexpr int program_fd = 5, messages_fd = 6;
constexpr int failed = 125;

using Words = std::vector<std::string>;

void say(const std::string& text) {
  const std::string line = text + "\n";
  [[maybe_unused]] const ssize_t n = ::write(messages_fd, line.data(), line.size());
}

// The workload's shim alone has the session's descriptors.
enum class Has { nothing, descriptors };

[[noreturn]] void become(const Words& words, Has has) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));  // execve(2)'s old type
  argv.push_back(nullptr);
  char* const environment[] = {nullptr};
  const int program = ::fcntl(program_fd, F_DUPFD_CLOEXEC, 10);
  if (has == Has::nothing) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(null, 1) < 0 || ::dup2(messages_fd, 2) < 0) ::_exit(failed);
  }
  const unsigned first = has == Has::nothing ? 3 : 5;
  if (program < 0 || ::syscall(SYS_close_range, first, static_cast<unsigned>(program) - 1, 0) != 0 ||
      ::syscall(SYS_close_range, static_cast<unsigned>(program) + 1, ~0U, 0) != 0) {
    ::_exit(failed);
  }
  ::syscall(SYS_execveat, program, "", argv.data(), environment, AT_EMPTY_PATH);
  ::_exit(failed);
}

pid_t begin(const Words& flags, const Words& command, Has has) {
  Words words = {"runsc"};
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), command.begin(), command.end());
  const pid_t pid = ::fork();
  if (pid == 0) become(words, has);
  return pid;
}

// Its exit status as a shell has it; whatever else ends meanwhile is collected.
int await(pid_t pid) {
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended < 0 && errno != EINTR) return failed;
    if (ended == pid) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}

bool run(const Words& flags, const Words& command, const char* what) {
  const pid_t pid = begin(flags, command, Has::nothing);
  if (pid > 0 && await(pid) == 0) return true;
  say(std::string(what) + " failed");
  return false;
}

int session(bool make, const Words& flags) {
  const std::string bundle = "--bundle=" + std::string(bundle_folder),
                    image = "--image-path=" + std::string(saved_folder);
  const bool there = make ? run(flags, {"run", "--detach", bundle, "session"}, "runsc run")
                          : run(flags, {"restore", "--detach", bundle, image, "session"}, "runsc restore");
  if (!there) return failed;
  const pid_t shim =
      begin(flags, {"exec", "--process=" + std::string(shim_file), "--pass-fd=3:3", "--pass-fd=4:4", "session"},
            Has::descriptors);
  // Whoever waits for the ends of the workload's pipes waits for the workload only.
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 5; ++fd) {
    if (fd > 2 || null < 0 || ::dup2(null, fd) < 0) ::close(fd);
  }
  const int status = shim < 0 ? failed : await(shim);
  if (!make || status != 0) return status;
  if (!run(flags, {"exec", "--process=" + std::string(alone_file), "session"}, "ending what the command left behind")) {
    return failed;
  }
  return run(flags, {"checkpoint", image, "--compression=none", "session"}, "runsc checkpoint") ? 0 : failed;
}

}  // namespace
}  // namespace bulkhead::tier::gvisor

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode != "make" && mode != "restore") return 125;
  return bulkhead::tier::gvisor::session(mode == "make", {argv + 2, argv + argc});
}
