#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/trim.h"
#include "broker/address.h"
#include "broker/publish.h"

namespace bulkhead::broker {
namespace {

constexpr int again_ms = 20;  // a full backlog is tried again
constexpr std::size_t max_pending = 4096;
constexpr std::size_t max_status = 4096;

// A filter's, and whose notifications those are.
struct Listener {
  UniqueFd fd;
  std::uint64_t number = 0;
};

struct Notification {
  std::uint64_t listener = 0, id = 0;
  bool operator==(const Notification&) const = default;
};

// A blocking connect that has not come to its end.
struct Pending {
  Notification id;
  UniqueFd socket;
  std::string address;  // what is tried again; empty: under way, the socket becomes writable
  UniqueFd target;      // of a unix address
};

class Broker {
 public:
  Broker(int supervisor, const Proc& proc) : supervisor_(supervisor), proc_(proc) {}

  Result<void> run(Result<void> (*enter)(const Proc&, pid_t)) {
    for (;;) {
      std::vector<pollfd> fds{{supervisor_, POLLIN, 0}};
      for (const Listener& listener : listeners_) fds.push_back({listener.fd.get(), POLLIN, 0});
      const std::size_t listening = listeners_.size();
      bool again = false;
      for (const Pending& p : pending_) {
        if (p.address.empty()) {
          fds.push_back({p.socket.get(), POLLOUT, 0});
        } else {
          again = true;
        }
      }
      if (publisher_) fds.push_back({publisher_->relay(), POLLIN, 0});
      const int timeout = trim_.timeout(again ? again_ms : pending_.empty() ? -1 : 1000);
      if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      trim_.check();
      if (fds[0].revents != 0) {
        BH_TRY(const bool told, listen());
        if (!told) return {};
      }
      if (publisher_ && fds.back().fd == publisher_->relay() && fds.back().revents != 0) {
        BH_TRY(const bool there, publisher_->answer());
        if (!there) publisher_.reset();  // the supervisor sees its end, too
      }
      // One that the supervisor has just sent has its turn next time.
      for (std::size_t i = listening; i-- > 0;) {
        const short what = fds[1 + i].revents;
        if ((what & POLLIN) != 0 && (what & POLLHUP) == 0) BH_CHECK(notified(listeners_[i], enter));
        // Nobody lives behind the filter any more; the supervisor says when the session is over.
        if ((what & POLLHUP) != 0) listeners_.erase(listeners_.begin() + static_cast<std::ptrdiff_t>(i));
      }
      go_on();
    }
  }

 private:
  // False: the supervisor is gone.
  Result<bool> listen() {
    BH_TRY(ipc::Message message, ipc::receive(supervisor_));
    if (message.closed) return false;
    BH_TRY(const nlohmann::json object, ipc::parse(message.text));
    if (object.value("type", "") == "publish" && message.fds.size() == 1 && !publisher_ && !entered_) {
      publisher_.emplace(std::move(message.fds[0]), object.value("ports", std::vector<std::uint16_t>()),
                         object.value("beyond_wire", false));
      return true;
    }
    // What a workload has put there since would be believed.
    if (object.value("type", "") == "own" && !told_own_ && listeners_.empty() && !entered_) {
      told_own_ = true;
      own_ = object.value("devices", std::vector<std::uint64_t>());
      return true;
    }
    if (object.value("type", "") != "listen" || message.fds.size() != 1 || !told_own_) {
      return fail("a message that makes no sense");
    }
    listeners_.push_back({std::move(message.fds[0]), ++last_listener_});
    return true;
  }

  // -1: nobody lives behind that filter any more.
  int listener_of(const Notification& id) const {
    const auto at = std::ranges::find(listeners_, id.listener, &Listener::number);
    return at == listeners_.end() ? -1 : at->fd.get();
  }

  bool valid(const Notification& id) const {
    return ::ioctl(listener_of(id), SECCOMP_IOCTL_NOTIF_ID_VALID, &id.id) == 0;
  }

  void answer(const Notification& id, int error) const {
    seccomp_notif_resp response{};
    response.id = id.id;
    response.error = -error;
    (void)::ioctl(listener_of(id), SECCOMP_IOCTL_NOTIF_SEND,
                  &response);  // ENOENT: it was killed meanwhile
  }

  Result<void> notified(const Listener& listener, Result<void> (*enter)(const Proc&, pid_t)) {
    seccomp_notif notification{};
    if (::ioctl(listener.fd.get(), SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0) {
      if (errno == EINTR || errno == ENOENT || errno == EAGAIN) return {};
      return fail_errno("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", "", errno);
    }
    const Notification id{listener.number, notification.id};
    if (!entered_) {
      auto done = enter(proc_, static_cast<pid_t>(notification.pid));
      if (!done && !valid(id)) return {};  // it is dead; the next one will do
      BH_CHECK(std::move(done));
      entered_ = true;
    }
    if (const auto error = begin(id, notification)) answer(id, *error);
    return {};
  }

  // What to answer now; nullopt: later.
  std::optional<int> begin(const Notification& id, const seccomp_notif& notification) {
    const auto tid = static_cast<pid_t>(notification.pid);
    const auto length = notification.data.args[2] & 0xffffffffU;
    if (length > sizeof(sockaddr_storage)) return EINVAL;
    std::string address(length, '\0');
    if (length > 0) {
      iovec here{address.data(), address.size()};
      // A user-space address travels as a number.
      iovec there{reinterpret_cast<void*>(notification.data.args[1]), address.size()};  // NOLINT
      if (::process_vm_readv(tid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(address.size())) return EFAULT;
    }
    auto socket = socket_of(tid, static_cast<int>(notification.data.args[0] & 0xffffffffU));
    // Only now is it certain that both came from the thread that asks: a dead one's id could be
    // somebody else's.
    if (!valid(id)) return ECANCELED;
    if (!socket) return socket.error().code;
    return connect(id, tid, std::move(*socket), std::move(address));
  }

  Result<UniqueFd> socket_of(pid_t tid, int fd) const {
    BH_TRY(const pid_t group, thread_group(tid));
    BH_TRY(const UniqueFd pidfd, sys::pidfd_open(group));
    const long copy = ::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0);  // Linux 5.6
    if (copy < 0) return fail("", errno);
    return UniqueFd(static_cast<int>(copy));
  }

  // /proc/TID/status: pidfd_open(2) takes a thread's id only since Linux 6.9.
  Result<pid_t> thread_group(pid_t tid) const {
    BH_TRY(const UniqueFd file, sys::open_at(proc_.root.get(), std::to_string(tid) + "/status", O_RDONLY));
    BH_TRY(const std::string text, sys::read_all(file.get(), max_status, "status"));
    const std::size_t at = text.find("\nTgid:");
    if (at == std::string::npos) return fail("", ESRCH);
    return static_cast<pid_t>(::atoi(text.c_str() + at + 6));
  }

  static int domain_of(int socket) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 ? domain : -1;
  }

  std::optional<int> connect(const Notification& id, pid_t tid, UniqueFd socket, std::string address) {
    const int domain = domain_of(socket.get());
    if (domain < 0) return ENOTSOCK;
    UniqueFd target;
    if (domain == AF_UNIX) {
      sa_family_t family = AF_UNSPEC;
      if (address.size() >= sizeof family) ::memcpy(&family, address.data(), sizeof family);
      if (family != AF_UNIX) return EINVAL;  // a stream socket can't be disconnected
      if (const std::string_view path = path_in(address); !path.empty()) {
        auto opened = open_socket(proc_, tid, std::string(path), own_);
        if (!opened) {
          if (!opened.error().path.empty()) report(opened.error().path);
          return opened.error().error;
        }
        target = std::move(*opened);
      }
    }
    return attempt(id, std::move(socket), std::move(address), std::move(target));
  }

  // One try that does not wait. A blocking socket gets a send timeout of one tick meanwhile, which
  // connect(2) obeys.
  std::optional<int> attempt(const Notification& id, UniqueFd socket, std::string address, UniqueFd target) {
    const bool blocking = (::fcntl(socket.get(), F_GETFL) & O_NONBLOCK) == 0;
    timeval before{};
    socklen_t size = sizeof before;
    if (blocking) {
      const timeval tick{0, 1};
      (void)::getsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &before, &size);
      (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
    }
    const int error = target ? connect_to(socket.get(), target.get()) : connect_raw(socket.get(), address);
    if (!blocking) return error;
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &before, sizeof before);
    const bool later = error == EINPROGRESS || error == EAGAIN;
    if (!later) return error;
    if (pending_.size() >= max_pending) return ECONNREFUSED;
    if (error == EINPROGRESS) address.clear();
    pending_.push_back({id, std::move(socket), std::move(address), std::move(target)});
    return std::nullopt;
  }

  static int connect_raw(int socket, const std::string& address) {
    const auto* pointer = reinterpret_cast<const sockaddr*>(address.data());
    return ::connect(socket, pointer, static_cast<socklen_t>(address.size())) == 0 ? 0 : errno;
  }

  // Exactly the socket that was judged: /proc/self/fd leads to the inode, and from that folder a
  // name of a few digits is enough.
  int connect_to(int socket, int target) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = std::to_string(target);
    ::memcpy(address.sun_path, name.c_str(), name.size() + 1);
    if (::fchdir(proc_.self_fds.get()) != 0) return EACCES;
    const int result = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = result == 0 ? 0 : errno;
    (void)!::chdir("/");
    return error;
  }

  void go_on() {
    for (auto it = pending_.begin(); it != pending_.end();) {
      Pending& p = *it;
      std::optional<int> result;
      if (!valid(p.id)) {
        it = pending_.erase(it);
        continue;
      }
      if (p.address.empty()) {
        pollfd one{p.socket.get(), POLLOUT, 0};
        if (::poll(&one, 1, 0) == 1) {
          int error = 0;
          socklen_t size = sizeof error;
          (void)::getsockopt(p.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
          result = error;
        }
      } else {
        Pending mine = std::move(p);
        it = pending_.erase(it);
        const Notification id = mine.id;
        if (const auto error = attempt(id, std::move(mine.socket), std::move(mine.address), std::move(mine.target))) {
          answer(id, *error);
        }
        // Put back at the end when it has to wait on: reached again only by the next turn.
        if (it == pending_.end() || pending_.back().id == id) break;
        continue;
      }
      if (!result) {
        ++it;
        continue;
      }
      answer(p.id, *result);
      it = pending_.erase(it);
    }
  }

  // Once per path; what comes from inside is bounded.
  void report(const std::string& path) {
    if (reported_.size() >= 64) return;
    for (const std::string& known : reported_) {
      if (known == path) return;
    }
    reported_.push_back(path);
    const nlohmann::json message{
        {"type", "denied"},
        {"count", 1},
        {"what", "connect to the socket " + escape_for_terminal(path, 200)},
        {"why", "sockets in mounted folders belong to the host; those in /tmp and /run are the session's"},
        {"add", ""}};
    (void)ipc::send(supervisor_, message);
  }

  int supervisor_;
  std::vector<Listener> listeners_;
  std::uint64_t last_listener_ = 0;
  std::vector<std::uint64_t> own_;
  bool told_own_ = false;
  const Proc& proc_;
  bool entered_ = false;
  std::optional<Publisher> publisher_;
  StartupTrim trim_;
  std::list<Pending> pending_;
  std::vector<std::string> reported_;
};

}  // namespace

Result<Proc> open_proc() {
  Proc proc;
  BH_TRY(proc.root, sys::open("/proc", O_RDONLY | O_DIRECTORY));
  BH_TRY(proc.self_fds, sys::open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
  return proc;
}

Result<void> serve(int supervisor, const Proc& proc, Result<void> (*enter)(const Proc&, pid_t)) {
  return Broker(supervisor, proc).run(enter);
}

}  // namespace bulkhead::broker
