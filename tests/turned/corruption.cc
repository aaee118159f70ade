#include "turned/corruption.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "gateway/lane.h"

namespace bulkhead::corruption {
namespace {

std::string said;  // what the attacker found, for trigger() to answer

std::string outcome(const char* what, long result) {
  return std::string(what) + (result < 0 ? ": " + std::string(::strerrordesc_np(errno)) : ": it worked");
}

// ---- what the attacker tries, by name. It has every power of code inside front.

std::string open_path(const std::string& path) {
  return outcome("open", ::open(path.c_str(), O_RDONLY));
}

// Pages are asked for by a call that reads from them and does nothing: an address that is not there is EFAULT, not a
// signal.
class Reach {
 public:
  bool holds(std::uintptr_t page, const std::string& needle) {
    constexpr int no_such_way = 99;
    if (::syscall(SYS_rt_sigprocmask, no_such_way, page, nullptr, 8) == 0 || errno != EINVAL) return false;
    ++pages;
    ::memcpy(buffer_.data() + size, reinterpret_cast<const void*>(page), size);
    const bool found = ::memmem(buffer_.data(), buffer_.size(), needle.data(), needle.size()) != nullptr;
    ::memcpy(buffer_.data(), buffer_.data() + size, size);  // a needle may lie across two pages
    return found;
  }
  static constexpr std::size_t size = 4096;
  std::size_t pages = 0;

 private:
  std::array<char, 2 * size> buffer_{};
};

// All of the address space near what is known to be there: program, heap, mappings, stack.
std::string search(const std::string& reversed) {
  // Its own copies of the needle must not count: it comes backwards, and is turned only in a register's worth of stack.
  std::string needle(reversed.rbegin(), reversed.rend());
  Reach reach;
  const auto stack = reinterpret_cast<std::uintptr_t>(&needle);
  const auto program = reinterpret_cast<std::uintptr_t>(&open_path);
  const auto heap = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  const auto mapping =
      reinterpret_cast<std::uintptr_t>(::mmap(nullptr, Reach::size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::size_t found = 0;
  const auto scan = [&](std::uintptr_t around, std::uintptr_t below, std::uintptr_t above) {
    const std::uintptr_t begin = (around - below) & ~(Reach::size - 1);
    for (std::uintptr_t page = begin; page < around + above; page += Reach::size) {
      const std::uintptr_t own = reinterpret_cast<std::uintptr_t>(needle.data()) & ~(Reach::size - 1);
      if (page == own || page == own + Reach::size) continue;
      if (reach.holds(page, needle)) ++found;
    }
  };
  constexpr std::uintptr_t mb = 1U << 20;
  scan(program, 64 * mb, 64 * mb);
  scan(heap, 256 * mb, 1 * mb);
  scan(mapping, 256 * mb, 256 * mb);
  scan(stack, 16 * mb, 1 * mb);
  return "searched " + std::to_string(reach.pages) + " pages, found it " + std::to_string(found) + " times";
}

// Every descriptor it has, used to ask an egress for what front would never have asked.
std::string ask_egress(const std::string& words) {
  const auto parts = split(words, ' ');  // GRANT HOST PORT TARGET
  if (parts.size() != 4) return "four words";
  lane::Request request;
  request.grant = parts[0];
  request.method = "GET";
  request.scheme = "https";
  request.host = parts[1];
  request.port = static_cast<std::uint16_t>(::atoi(parts[2].c_str()));
  request.target = parts[3];
  request.slot_filled = true;
  std::string out;
  // Not 3 and 4: nonsense on the sockets to the supervisor and to evidence ends the session at once.
  for (int fd = 5; fd < 64; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) continue;
    auto pair = sys::socket_pair(SOCK_STREAM);
    if (!pair) continue;
    const int theirs = pair->second.get();
    if (!ipc::send(fd, std::string_view(R"({"type":"lane"})"), std::span(&theirs, 1))) continue;
    pair->second.reset();
    const timeval patience{1, 0};
    (void)::setsockopt(pair->first.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::string frames = lane::encode(request) + lane::encode_end();
    (void)::send(pair->first.get(), frames.data(), frames.size(), MSG_NOSIGNAL);
    std::array<char, 4096> answer{};
    const ssize_t n = ::recv(pair->first.get(), answer.data(), answer.size(), 0);
    if (n < static_cast<ssize_t>(lane::header_size)) continue;  // no egress at the other end
    const auto header = lane::decode_header({answer.data(), lane::header_size});
    if (!header) continue;
    const std::string_view payload(answer.data() + lane::header_size, static_cast<std::size_t>(n) - lane::header_size);
    if (header->kind == lane::Kind::failure) {
      const auto failure = lane::decode_failure(payload.substr(0, header->length));
      out += failure ? "refused: " + failure->reason + "; " : "refused; ";
    } else {
      out += "answered; ";
    }
  }
  return out.empty() ? "no egress was found" : out;
}

const std::map<std::string, std::function<std::string(const std::string&)>>& attempts() {
  static const std::map<std::string, std::function<std::string(const std::string&)>> all{
      {"open", open_path},
      {"search", search},
      {"egress", ask_egress},
      {"descriptors",
       [](auto&) {
         std::string held;
         struct stat st{};
         for (int fd = 0; fd < 1024; ++fd) {
           if (::fstat(fd, &st) != 0) continue;
           held += (held.empty() ? "" : " ") + std::to_string(fd) +
                   (S_ISSOCK(st.st_mode)  ? "=socket"
                    : S_ISCHR(st.st_mode) ? "=device"
                    : S_ISREG(st.st_mode) ? "=file"
                                          : "=other");
         }
         return "holds " + held;
       }},
      {"above", [](auto&) { return outcome("open above", ::openat(3, "..", O_RDONLY | O_DIRECTORY)); }},
      {"inet", [](auto&) { return outcome("socket(AF_INET)", ::socket(AF_INET, SOCK_STREAM, 0)); }},
      {"unix", [](auto&) { return outcome("socket(AF_UNIX)", ::socket(AF_UNIX, SOCK_STREAM, 0)); }},
      {"netlink", [](auto&) { return outcome("socket(AF_NETLINK)", ::socket(AF_NETLINK, SOCK_RAW, 0)); }},
      {"connect",
       [](auto&) {
         sockaddr to{};
         to.sa_family = AF_UNSPEC;
         return outcome("connect", ::connect(3, &to, sizeof to));
       }},
      {"exec",
       [](auto&) {
         const pid_t child = ::vfork();
         if (child == 0) {
           ::execl("/bin/true", "true", nullptr);
           ::_exit(1);
         }
         return outcome("vfork and exec", child);
       }},
      {"list",
       [](auto&) {
         std::array<char, 512> names{};
         const int root = ::open("/", O_RDONLY | O_DIRECTORY);
         return outcome("getdents64", root < 0 ? root : ::syscall(SYS_getdents64, root, names.data(), names.size()));
       }},
      {"code",
       [](auto&) {
         void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return outcome("executable memory", page == MAP_FAILED ? -1 : 0);
       }},
      {"ptrace", [](auto&) { return outcome("ptrace", ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }},
      {"peek",
       [](auto&) {
         char byte = 0;
         iovec here{&byte, 1}, there{&byte, 1};
         return outcome("process_vm_readv", ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0));
       }},
      {"signal", [](auto&) { return outcome("kill", ::kill(::getppid(), 0)); }},
      {"ring",
       [](auto&) {
         io_uring_params parameters{};
         return outcome("io_uring_setup", ::syscall(SYS_io_uring_setup, 4, &parameters));
       }},
      {"unshare", [](auto&) { return outcome("unshare", ::unshare(CLONE_NEWUSER)); }},
      {"memfd", [](auto&) { return outcome("memfd_create", ::memfd_create("x", 0)); }},
      {"truncate", [](auto&) { return outcome("ftruncate", ::ftruncate(4, 0) == 0 || errno == EINVAL ? 0 : -1); }},
  };
  return all;
}

// Where the overflow leads. `words`: the attempt's name, a blank, its argument.
__attribute__((noinline)) void attacker(const char* words) {
  const std::string text = words;
  const std::string name = text.substr(0, text.find(' '));
  const auto found = attempts().find(name);
  said = found == attempts().end() ? "no such attempt"
                                   : found->second(text.substr(std::min(text.size(), name.size() + 1)));
}

__attribute__((noinline)) void harmless(const char*) {
  said = "nothing was overwritten";
}

// ---- the bug

struct Overflown {
  std::array<char, 192> words;
  void (*next)(const char*);
};

// Believes the length it is told: the bytes behind `words` are whoever sends more.
__attribute__((noinline)) void copy_without_a_look(Overflown& into, const std::string& bytes) {
  volatile char* to = into.words.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) to[i] = bytes[i];
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(::strtoul(std::string(hex.substr(i, 2)).c_str(), nullptr, 16));
  }
  return out;
}

}  // namespace

std::optional<std::string> trigger(const http::RequestHead& head) {
  for (const auto& [name, value] : head.headers) {
    if (name != "x-corrupt") continue;
    if (value == "where") {
      // Stands for the leak that such a bug comes with.
      return std::to_string(offsetof(Overflown, next)) + " " +
             std::to_string(reinterpret_cast<std::uintptr_t>(&attacker));
    }
    said.clear();
    const auto victim = std::make_unique<Overflown>();
    victim->next = harmless;
    copy_without_a_look(*victim, from_hex(value));
    victim->next(victim->words.data());
    return said;
  }
  return std::nullopt;
}

std::optional<std::string> trigger(std::string_view file) {
  constexpr std::string_view begins = "corrupt ";
  if (!file.starts_with(begins)) return std::nullopt;
  std::string line(file.substr(begins.size(), file.find('\n') - begins.size()));
  struct Chosen {
    std::array<char, 192> words;
    std::array<unsigned char, 8> next;
  };
  if (line.size() > sizeof(Chosen)) return "longer than the attacker needs";
  const auto victim = std::make_unique<Chosen>();
  said.clear();
  // No room is left for the NUL: a full buffer's last byte is lost to what stands behind it.
  volatile char* to = victim->words.data();
  for (std::size_t i = 0; i < line.size(); ++i) to[i] = line[i];
  victim->words.back() = '\0';
  (victim->next.front() == 'A' ? attacker : harmless)(victim->words.data());
  return said;
}

}  // namespace bulkhead::corruption
