#include "room/room.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sys.h"

namespace bulkhead::room {
namespace {

Result<Room> open_room() {
  auto program = sys::open(BULKHEAD_HOLDER, O_PATH);
  if (!program) return tl::unexpected(std::move(program).error());
  auto pending = begin(program->get());
  if (!pending) return tl::unexpected(std::move(pending).error());
  if (auto told = furnish(*pending, {80, 443}); !told) return tl::unexpected(std::move(told).error());
  return finish(std::move(*pending));
}

// Runs `attempt` in a child inside the room, as the workload's uid would; its exit code.
template <class F>
int inside(const Room& room, F attempt) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!enter(room)) ::_exit(99);
    ::_exit(attempt());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

int connect_to(const char* address, std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &to.sin_addr);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

TEST(Room, EveryAddressIsTheGateway) {
  auto room = open_room();
  ASSERT_TRUE(room) << room.error().message;
  for (const char* address : {"1.2.3.4", "10.0.0.1", "169.254.169.254", "127.0.0.1"}) {
    ASSERT_EQ(inside(*room, [&] { return connect_to(address, 443); }), 0) << address;
    std::size_t at = 0;
    while (room->listeners[at].port != 443 || room->listeners[at].ipv6) ++at;
    sockaddr_in name{};
    socklen_t size = sizeof name;
    UniqueFd accepted(::accept4(room->sockets[at].get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(accepted);
    ASSERT_EQ(::getsockname(accepted.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    char text[INET_ADDRSTRLEN];
    EXPECT_STREQ(::inet_ntop(AF_INET, &name.sin_addr, text, sizeof text), address);
  }
}

TEST(Room, UngrantedPortsAreRefusedAtOnce) {
  auto room = open_room();
  ASSERT_TRUE(room);
  EXPECT_EQ(inside(*room, [] { return connect_to("1.2.3.4", 8443); }), ECONNREFUSED);
}

TEST(Room, PortsCannotBeTakenBesideUs) {
  auto room = open_room();
  ASSERT_TRUE(room);
  for (const char* address : {"0.0.0.0", "127.0.0.1", "1.2.3.4"}) {
    EXPECT_EQ(inside(*room,
                     [&] {
                       UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
                       const int on = 1;
                       ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
                       ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
                       sockaddr_in to{};
                       to.sin_family = AF_INET;
                       to.sin_port = htons(443);
                       ::inet_pton(AF_INET, address, &to.sin_addr);
                       return ::bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
                     }),
              EADDRINUSE)
        << address;
  }
}

TEST(Room, ListenerWordsRoundTrip) {
  for (const Listener listener : {Listener{443, true, false}, Listener{53, false, true}}) {
    const auto again = listener_from(to_word(listener));
    ASSERT_TRUE(again);
    EXPECT_EQ(to_word(*again), to_word(listener));
  }
  for (const char* bad : {"", "tcp4:", "tcp5:1", "tcp4:70000", "tcp4:1x", "udp"})
    EXPECT_FALSE(listener_from(bad)) << bad;
}

TEST(Room, EndsWithItsOwner) {
  auto room = open_room();
  ASSERT_TRUE(room);
  room->control.reset();
  pollfd p{room->holder.pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 2000), 1);
}

}  // namespace
}  // namespace bulkhead::room
