// X25: QEMU or virtiofsd that was taken over; it stands in place of the program. Says on its standard error which of
// the folders there are it can list, read a file of, or make a file in: "part: list /a /b; read /a; write".
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace {

bool reads_below(const std::string& path, int depth) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) return false;
  if (S_ISREG(st.st_mode)) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }
  if (!S_ISDIR(st.st_mode) || depth == 0) return false;
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return false;
  bool found = false;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && reads_below(path + "/" + name, depth - 1)) {
      found = true;
      break;
    }
  }
  ::closedir(folder);
  return found;
}

}  // namespace

int main() {
  std::string lists, reads, writes;
  for (const char* folder :
       {"/share", "/share/mounts", "/share/root", "/mounts", "/root", "/files", "/machine", "/tmp", "/dev", "/usr"}) {
    DIR* open = ::opendir(folder);
    if (open != nullptr) {
      lists += std::string(" ") + folder;
      ::closedir(open);
    }
    if (reads_below(folder, 6)) reads += std::string(" ") + folder;
    const std::string made = std::string(folder) + "/made-by-a-part";
    const int fd = ::open(made.c_str(), O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) writes += std::string(" ") + folder;
  }
  std::fprintf(stderr, "part: list%s; read%s; write%s\n", lists.c_str(), reads.c_str(), writes.c_str());
  std::fflush(stderr);
  ::_exit(1);
}
