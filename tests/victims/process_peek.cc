// X21: other processes. `process_peek environ MARKER | root | ptrace MARKER | memory MARKER`
// Tries every process it can see but itself.
#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

#include "victim.h"

namespace {

std::vector<pid_t> others() {
  std::vector<pid_t> found;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) refused_errno("opendir /proc");
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid > 0 && pid != getpid()) found.push_back(pid);
  }
  return found;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// One look at everybody; how many there were.
std::size_t look(const std::string& how, std::set<pid_t>& seized, int argc, char** argv) {
  const std::vector<pid_t> pids = others();
  const std::string among = " (of " + std::to_string(pids.size()) + " processes)";
  for (const pid_t pid : pids) {
    const std::string folder = "/proc/" + std::to_string(pid);
    if (how == "environ") {
      // The marker is given in two parts, so that this process's own relatives don't carry it in their arguments.
      const std::string marker = argument(argc, argv, 2) + argument(argc, argv, 3);
      if (contents(folder + "/environ").find(marker) != std::string::npos) worked(folder + "/environ" + among);
      if (contents(folder + "/cmdline").find(marker) != std::string::npos) worked(folder + "/cmdline" + among);
    } else if (how == "root") {
      const std::string file = folder + "/root" + argument(argc, argv, 2);
      if (contents(file).find("planted-") != std::string::npos) worked(file + among);
    } else if (how == "ptrace") {
      if (pid == getppid()) continue;
      if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) seized.insert(pid);
      // Only a process that stands outside of what was started for us counts: the test names it. One seized in the
      // middle of execve(2) has no arguments at that moment, and can't be seized again: it is looked at again.
      if (seized.contains(pid) && contents(folder + "/cmdline").find(argument(argc, argv, 2)) != std::string::npos)
        worked(folder + among);
    } else if (how == "memory") {
      if (contents(folder + "/cmdline").find(argument(argc, argv, 2)) == std::string::npos) continue;
      const int fd = open((folder + "/mem").c_str(), O_RDWR);
      if (fd >= 0) worked(folder + "/mem" + among);
    } else {
      broken(how);
    }
  }
  return pids.size();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  // Whoever is looked for may be just between fork and exec.
  std::size_t seen = 0;
  std::set<pid_t> seized;
  for (int i = 0; i < 5; ++i) {
    seen = look(how, seized, argc, argv);
    usleep(100'000);
  }
  refused("nothing of it (of " + std::to_string(seen) + " processes)");
}
