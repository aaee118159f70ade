#include "guest/proc_events.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace bulkhead::shim {
namespace {

constexpr int queue_size = 16 << 20;  // bytes, some twenty thousand messages
constexpr int turns = 4096;

Result<void> ask(int socket) {
  const proc_cn_mcast_op listen = PROC_CN_MCAST_LISTEN;
  nlmsghdr head{};
  cn_msg message{};
  head.nlmsg_len = sizeof head + sizeof message + sizeof listen;
  head.nlmsg_type = NLMSG_DONE;
  head.nlmsg_pid = 0;
  message.id = {CN_IDX_PROC, CN_VAL_PROC};
  message.len = sizeof listen;
  std::array<char, sizeof head + sizeof message + sizeof listen> bytes{};
  ::memcpy(bytes.data(), &head, sizeof head);
  ::memcpy(bytes.data() + sizeof head, &message, sizeof message);
  ::memcpy(bytes.data() + sizeof head + sizeof message, &listen, sizeof listen);
  if (::send(socket, bytes.data(), bytes.size(), 0) < 0) return fail_errno("send", "the process connector", errno);
  return {};
}

std::optional<ProcEvent> event_of(const proc_event& event) {
  const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
  switch (event.what) {
    case proc_event::PROC_EVENT_FORK: {
      const auto& fork = event.event_data.fork;
      if (fork.child_pid != fork.child_tgid) return std::nullopt;  // a thread
      return ProcFork{number(fork.parent_tgid), number(fork.parent_pid), number(fork.child_pid)};
    }
    case proc_event::PROC_EVENT_EXEC:
      return ProcExec{number(event.event_data.exec.process_tgid)};
    case proc_event::PROC_EVENT_EXIT: {
      const auto& exit = event.event_data.exit;
      return ProcExit{number(exit.process_tgid), number(exit.process_pid), exit.exit_code};
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<ProcEvents> ProcEvents::open() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (!socket) return fail_errno("socket", "the process connector", errno);
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &queue_size, sizeof queue_size);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("bind", "the process connector", errno);
  }
  BH_CHECK(ask(socket.get()));
  return ProcEvents(std::move(socket));
}

Result<std::vector<ProcEvent>> ProcEvents::read() {
  std::vector<ProcEvent> out;
  alignas(nlmsghdr) std::array<char, 4096> bytes{};
  for (int i = 0; i < turns; ++i) {
    const ssize_t n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    // What was lost is counted by the gap in the numbers, once something comes after it.
    if (n < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (n < 0 && errno == EAGAIN) return out;
    if (n < 0) return fail_errno("recv", "the process connector", errno);
    constexpr std::size_t before = sizeof(nlmsghdr) + sizeof(cn_msg);
    cn_msg message{};
    proc_event event{};
    if (static_cast<std::size_t>(n) < before + sizeof event) continue;
    ::memcpy(&message, bytes.data() + sizeof(nlmsghdr), sizeof message);
    ::memcpy(&event, bytes.data() + before, sizeof event);
    if (event.what == proc_event::PROC_EVENT_NONE) continue;  // the answer to what was asked
    const auto [next, first] = next_.try_emplace(event.cpu, message.seq);
    lost_ += message.seq - next->second;
    next->second = message.seq + 1;
    if (const auto told = event_of(event)) out.push_back(*told);
  }
  return out;
}

}  // namespace bulkhead::shim
