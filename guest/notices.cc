#include "guest/notices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/sys.h"

namespace bulkhead::shim {
namespace {

constexpr unsigned wait_killable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
constexpr std::uint32_t changes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
constexpr std::size_t page = 4096;

constexpr std::uint32_t low_word_of_argument(int number) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) +
                                    sizeof(std::uint64_t) * static_cast<unsigned>(number));
}

// Of another architecture's numbers nothing is asked: the workload's own filter refuses those (seccomp_gen.cc).
long install(unsigned flags) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  const auto ask = [&](long call) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  };
  const auto ask_if = [&](long call, int argument, std::uint32_t any) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 4));
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_word_of_argument(argument)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, any, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  };
  for (const long call : {SYS_execve, SYS_execveat, SYS_connect, SYS_openat2}) ask(call);
  ask_if(SYS_openat, 2, changes);
#ifdef SYS_open
  ask_if(SYS_open, 1, changes);
  ask(SYS_creat);
#endif
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

std::string proc_of(std::uint32_t thread) {
  return "/proc/" + std::to_string(thread);
}

// What can be read of so many bytes there, up to the first page that is not the process's.
std::string memory_of(std::uint32_t thread, std::uint64_t address, std::size_t size) {
  std::string out(size, '\0');
  std::vector<iovec> parts;
  for (std::size_t at = 0; at < size;) {
    const std::size_t length = std::min<std::size_t>(size - at, page - (address + at) % page);
    parts.push_back({reinterpret_cast<void*>(address + at), length});  // NOLINT(performance-no-int-to-ptr): not ours
    at += length;
  }
  iovec here{out.data(), out.size()};
  const ssize_t n = ::process_vm_readv(static_cast<pid_t>(thread), &here, 1, parts.data(), parts.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

// A text of at most `most` bytes; `cut`: it is longer, or could not be read to its end.
std::string text_of(std::uint32_t thread, std::uint64_t address, std::size_t most, bool& cut) {
  // Most are short.
  for (const std::size_t size : {std::min<std::size_t>(256, most + 1), most + 1}) {
    std::string text = memory_of(thread, address, size);
    const std::size_t end = text.find('\0');
    if (end != std::string::npos) {
      text.resize(end);
      return text;
    }
    if (text.size() == size && size <= most) continue;
    cut = true;
    text.resize(std::min(text.size(), most));
    return text;
  }
  return {};
}

record::Who who(std::uint32_t thread) {
  record::Who out{thread, thread};
  const auto status = sys::read_file(proc_of(thread) + "/status", 64 * 1024);
  if (!status) return out;
  constexpr std::string_view key = "\nTgid:\t";
  const std::size_t at = status->find(key);
  if (at == std::string::npos) return out;
  (void)std::from_chars(status->data() + at + key.size(), status->data() + status->size(), out.pid);
  return out;
}

// Behind the folder it is relative to.
std::string place(std::uint32_t thread, int folder, std::string path, bool& cut) {
  if (path.starts_with('/')) return path;
  const auto before = sys::read_link(proc_of(thread) + (folder == AT_FDCWD ? "/cwd" : "/fd/" + std::to_string(folder)));
  if (!before) return path;
  if (!path.empty()) path.insert(0, before->ends_with('/') ? "" : "/");
  path.insert(0, *before);
  if (path.size() > record::max_path) cut = true;
  path.resize(std::min(path.size(), record::max_path));
  return path;
}

record::Executed program(std::uint32_t thread, int folder, std::uint64_t path, std::uint64_t arguments) {
  record::Executed out;
  out.path = place(thread, folder, text_of(thread, path, record::max_path, out.cut), out.cut);
  std::array<std::uint64_t, record::max_arguments + 1> pointers{};
  const std::string bytes = arguments == 0 ? "" : memory_of(thread, arguments, sizeof pointers);
  ::memcpy(pointers.data(), bytes.data(), bytes.size());
  std::size_t left = record::max_argument_bytes;
  for (std::size_t i = 0; i < pointers.size() && pointers[i] != 0; ++i) {
    if (i == record::max_arguments || left == 0) {
      out.cut = true;
      break;
    }
    out.arguments.push_back(text_of(thread, pointers[i], std::min(record::max_argument, left), out.cut));
    left -= out.arguments.back().size();
  }
  return out;
}

std::optional<Attempt> opening(std::uint32_t thread, int folder, std::uint64_t path, std::uint32_t flags) {
  if ((flags & changes) == 0 || (flags & O_PATH) != 0) return std::nullopt;
  record::Opening out;
  out.path = place(thread, folder, text_of(thread, path, record::max_path, out.cut), out.cut);
  out.flags = flags;
  return out;
}

std::optional<Attempt> attempt(std::uint32_t thread, const seccomp_data& call) {
  const auto& a = call.args;
  const auto number = [&](int i) { return static_cast<std::uint32_t>(a[i]); };
  const auto folder = [&](int i) { return static_cast<int>(number(i)); };
  switch (call.nr) {
    case SYS_execve:
      return program(thread, AT_FDCWD, a[0], a[1]);
    case SYS_execveat:
      return program(thread, folder(0), a[1], a[2]);
    case SYS_openat:
      return opening(thread, folder(0), a[1], number(2));
    case SYS_openat2: {
      const std::string how = memory_of(thread, a[2], sizeof(std::uint64_t));
      std::uint64_t flags = 0;
      ::memcpy(&flags, how.data(), how.size());
      return opening(thread, folder(0), a[1], static_cast<std::uint32_t>(flags));
    }
#ifdef SYS_open
    case SYS_open:
      return opening(thread, AT_FDCWD, a[0], number(1));
    case SYS_creat:
      return opening(thread, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC);
#endif
    case SYS_connect: {
      record::Connecting out;
      out.address = memory_of(thread, a[1], std::min<std::size_t>(number(2), record::max_address));
      return out;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<UniqueFd> watch_calls() {
  // Without the second flag a signal makes the process ask again.
  long listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | wait_killable);
  if (listener < 0 && errno == EINVAL) listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (listener < 0) return fail_errno("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)", "the machine's record", errno);
  return UniqueFd(static_cast<int>(listener));
}

Result<void> take_notice(int listener, Asked& asked) {
  seccomp_notif notice{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) != 0) {
    if (errno == EINTR || errno == ENOENT) return {};  // it is gone
    return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", "", errno);
  }
  asked.begin();
  if (auto one = attempt(notice.pid, notice.data)) {
    const record::Who by = asked.is_process(notice.pid) ? record::Who{notice.pid, notice.pid} : who(notice.pid);
    std::visit([&](auto& what) { what.by = by; }, *one);
    // Only if the process is still there was it that one's memory.
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notice.id) == 0) asked.take(std::move(*one));
  }
  seccomp_notif_resp answer{};
  answer.id = notice.id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT) {
    return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_SEND)", "", errno);
  }
  return {};
}

}  // namespace bulkhead::shim
