#include "room/room.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::room {
namespace {

constexpr std::chrono::milliseconds patience{10'000};  // a busy machine's network namespace can take a second

std::vector<Listener> listeners_for(const std::vector<std::uint16_t>& ports) {
  std::vector<Listener> out;
  const bool ipv6 = sys::exists("/proc/net/if_inet6");
  const auto both = [&](std::uint16_t port, bool stream) {
    out.push_back({port, stream, false});
    if (ipv6) out.push_back({port, stream, true});
  };
  for (const std::uint16_t port : ports) both(port, true);
  both(53, true);
  both(53, false);
  return out;
}

}  // namespace

std::string to_word(const Listener& listener) {
  return std::string(listener.stream ? "tcp" : "udp") + (listener.ipv6 ? "6:" : "4:") + std::to_string(listener.port);
}

Result<Listener> listener_from(const std::string& word) {
  const std::string head = word.substr(0, 5);
  Listener listener;
  listener.stream = head.starts_with("tcp");
  listener.ipv6 = head.ends_with("6:");
  const char* end = word.data() + word.size();
  const auto [at, error] = std::from_chars(word.data() + std::min<std::size_t>(5, word.size()), end, listener.port);
  if ((head != "tcp4:" && head != "tcp6:" && head != "udp4:" && head != "udp6:") || error != std::errc() || at != end) {
    return fail("not a listener: " + escape_for_terminal(word));
  }
  return listener;
}

Result<Pending> begin(int holder_program) {
  Pending pending;
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  pending.control = std::move(pair.first);
  SpawnOptions options;
  options.program = holder_program;
  options.arguments = {"bulkhead-holder"};
  BH_TRY(sys::Pair messages, sys::pipe());
  pending.messages = std::move(messages.first);
  BH_CHECK(sys::set_nonblocking(pending.messages.get(), true));
  options.fds = {-1, -1, messages.second.get(), pair.second.get()};
  BH_TRY(pending.holder, spawn(options));
  return pending;
}

Result<void> furnish(Pending& pending, const std::vector<std::uint16_t>& ports) {
  pending.listeners = listeners_for(ports);
  nlohmann::json words = nlohmann::json::array();
  for (const Listener& listener : pending.listeners) words.push_back(to_word(listener));
  auto sent = ipc::send(pending.control.get(), nlohmann::json{{"type", "furnish"}, {"listeners", words}});
  if (!sent && sent.error().code == EPIPE) return {};  // it said why, to finish()
  return sent;
}

Result<Room> finish(Pending pending) {
  pollfd p{pending.control.get(), POLLIN, 0};
  if (::poll(&p, 1, static_cast<int>(patience.count())) <= 0) return fail("the room's holder says nothing");
  BH_TRY(ipc::Message message, ipc::receive(pending.control.get()));
  if (message.closed) return fail("the room's holder died while it made the network namespace");
  BH_TRY(const nlohmann::json answer, ipc::parse(message.text));
  if (answer.contains("error")) {
    return tl::unexpected(Error{"cannot make the room (a network namespace): " + answer["error"].get<std::string>() +
                                    "; `bulkhead doctor` says what this machine lacks",
                                answer.value("code", 0)});
  }
  if (message.fds.size() != pending.listeners.size() + 2) return fail("the room came with the wrong descriptors");
  Room room;
  room.holder = std::move(pending.holder);
  room.control = std::move(pending.control);
  room.messages = std::move(pending.messages);
  room.user_ns = std::move(message.fds[0]);
  room.net_ns = std::move(message.fds[1]);
  room.listeners = std::move(pending.listeners);
  for (std::size_t i = 2; i < message.fds.size(); ++i) room.sockets.push_back(std::move(message.fds[i]));
  return room;
}

Result<void> enter(const Room& room) {
  if (::setns(room.user_ns.get(), CLONE_NEWUSER) != 0) return fail_errno("setns", "the room's user namespace", errno);
  if (::setns(room.net_ns.get(), CLONE_NEWNET) != 0) return fail_errno("setns", "the room's network namespace", errno);
  return {};
}

}  // namespace bulkhead::room
