// Syscalls as Results: the error names the call and what it was applied to. Only calls that somebody
// uses are here. All descriptors are close-on-exec unless said otherwise.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::sys {

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
// openat2(2), Linux 5.6: `resolve` is RESOLVE_* (RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, …).
Result<UniqueFd> open_at2(int dir, const std::string& path, std::uint64_t flags, std::uint64_t resolve,
                          mode_t mode = 0);

// The whole file, refused above `limit` bytes. Regular files and pipes alike.
Result<std::string> read_file(const std::string& path, std::size_t limit);
Result<std::string> read_all(int fd, std::size_t limit, std::string_view name);
Result<void> write_all(int fd, std::string_view bytes, std::string_view name);
// Writes a new file beside `name`, fsyncs it, renames it over `name` and fsyncs the folder: readers see the old content
// or the new, also after a crash. A failure leaves nothing beside. `flags` are renameat2(2)'s; `last_look` runs on the
// new file just before the rename, and its error is the result.
Result<void> replace_at(int folder, const std::string& name, std::string_view bytes, mode_t mode, unsigned flags = 0,
                        const std::function<Result<void>(int file)>& last_look = {});
Result<void> write_file_atomically(const std::string& path, std::string_view bytes, mode_t mode);

// mkdir -p; every directory it makes gets `mode`.
Result<void> make_directories(const std::string& path, mode_t mode);
Result<void> remove_tree(int parent, const std::string& name);

// Names in a directory, without . and .., in no order.
Result<std::vector<std::string>> list_directory(int dir);

Result<struct stat> stat_fd(int fd, std::string_view name);
bool exists(const std::string& path);
bool is_directory(const std::string& path);
Result<std::string> read_link(const std::string& path);
// The path with every symlink resolved; the file must exist.
Result<std::string> real_path(const std::string& path);
// The path a descriptor stands for now (/proc/self/fd).
Result<std::string> path_of(int fd);

struct Pair {
  UniqueFd first, second;
};
Result<Pair> pipe();
// AF_UNIX; type is SOCK_STREAM or SOCK_SEQPACKET.
Result<Pair> socket_pair(int type);
// An anonymous file holding `bytes`, rewound, for handing text to another program by descriptor.
Result<UniqueFd> memory_file(const std::string& name, std::string_view bytes);
Result<UniqueFd> duplicate(int fd, int at_least = 3);
Result<void> set_nonblocking(int fd, bool on);
Result<void> set_close_on_exec(int fd, bool on);

Result<UniqueFd> pidfd_open(pid_t pid);  // Linux 5.3
Result<void> pidfd_send_signal(int pidfd, int signal);

Result<void> write_id_maps(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid);

// Milliseconds of CLOCK_BOOTTIME and the boot's id: how a state file knows that it is from an earlier boot.
Result<std::string> boot_id();
// Field 22 of /proc/PID/stat (clock ticks since boot): together with the pid it names one process.
Result<std::uint64_t> process_start_time(pid_t pid);

}  // namespace bulkhead::sys
