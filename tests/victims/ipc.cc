// X17: what older IPC shares with the host. `ipc shm KEY | mq NAME | keyring DESCRIPTION | fds FILE`
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

namespace {

[[noreturn]] void shared_memory(const std::string& key) {
  const int id = shmget(std::atoi(key.c_str()), 0, 0);
  if (id < 0) refused_errno("shmget");
  auto* memory = static_cast<char*>(shmat(id, nullptr, 0));
  if (memory == reinterpret_cast<char*>(-1)) refused_errno("shmat");
  if (std::strstr(memory, "planted-") == nullptr) refused("another segment is there");
  worked("read and could write the host's segment");
}

[[noreturn]] void queue(const std::string& name) {
  // The system call takes the name without its slash.
  judge(syscall(SYS_mq_open, name.c_str(), O_RDWR, 0, nullptr), "mq_open " + name);
}

[[noreturn]] void keyring(const std::string& description) {
  const long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", description.c_str(), 0);
  if (key < 0) refused_errno("keyctl search");
  char text[256] = {};
  judge(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text - 1), "keyctl read");
}

[[noreturn]] void descriptors(const std::string& file) {
  for (int fd = 3; fd < 1024; fd++) {
    if (openat(fd, file.c_str(), O_RDONLY) >= 0) worked("descriptor " + std::to_string(fd) + " leads to " + file);
  }
  refused("none of the descriptors leads there");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1), what = argument(argc, argv, 2);
  if (how == "shm") shared_memory(what);
  if (how == "mq") queue(what);
  if (how == "keyring") keyring(what);
  if (how == "fds") descriptors(what);
  broken(how);
}
