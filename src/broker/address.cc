#include "broker/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "base/sys.h"

namespace bulkhead::broker {

std::string_view path_in(std::string_view bytes) {
  constexpr std::size_t head = offsetof(sockaddr_un, sun_path);
  if (bytes.size() <= head || bytes[head] == '\0') return {};
  const std::string_view path = bytes.substr(head);
  return path.substr(0, path.find('\0'));  // unix(7): with or without the NUL
}

tl::expected<UniqueFd, Refused> open_socket(const Proc& proc, pid_t tid, const std::string& path,
                                            const std::vector<std::uint64_t>& own) {
  UniqueFd folder;
  if (path.front() != '/') {
    auto opened = sys::open_at(proc.root.get(), std::to_string(tid) + "/cwd", O_PATH | O_DIRECTORY);
    if (!opened) return tl::unexpected(Refused{EACCES, path});
    folder = std::move(*opened);
  }
  auto socket = sys::open_at(folder ? folder.get() : AT_FDCWD, path, O_PATH);
  if (!socket) return tl::unexpected(Refused{socket.error().code, ""});
  struct stat st{};
  if (::fstat(socket->get(), &st) != 0) return tl::unexpected(Refused{EACCES, path});
  if (!S_ISSOCK(st.st_mode)) return tl::unexpected(Refused{ECONNREFUSED, ""});
  // A tmpfs of the host's can be mounted too (its /tmp, on some machines), so the kind of file
  // system says nothing; the device does. Its number, not a folder's name: what is above a mount point the workload can
  // rename.
  if (std::find(own.begin(), own.end(), st.st_dev) != own.end()) return std::move(*socket);
  return tl::unexpected(Refused{EACCES, path});
}

}  // namespace bulkhead::broker
