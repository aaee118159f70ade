#include "room/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sys.h"
#include "room/room.h"

namespace bulkhead::room {
namespace {

constexpr int not_there = 240;

int connect_to(const std::string& address, std::uint16_t port) {
  sockaddr_storage to{};
  const bool v6 = address.find(':') != std::string::npos;
  auto* in4 = reinterpret_cast<sockaddr_in*>(&to);
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&to);
  if (v6) {
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    ::inet_pton(AF_INET6, address.c_str(), &in6->sin6_addr);
  } else {
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &in4->sin_addr);
  }
  const UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0));
  timeval patience{3, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), v6 ? sizeof *in6 : sizeof *in4) == 0 ? 0 : errno;
}

class Wire : public testing::Test {
 protected:
  void SetUp() override { fresh_room(); }

  void fresh_room() {
    auto pending = begin(sys::open(BULKHEAD_HOLDER, O_PATH)->get());
    ASSERT_TRUE(pending);
    ASSERT_TRUE(furnish(*pending, {80, 443}));
    auto opened = finish(std::move(*pending));
    ASSERT_TRUE(opened) << opened.error().message;
    room_ = std::move(*opened);
  }

  // The exit code of `attempt` beyond the wire.
  template <class F>
  int beyond(F attempt) {
    fresh_room();  // one wire each
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (!enter(room_)) ::_exit(not_there);
      if (auto gone = go_beyond_wire(); !gone) {
        std::fprintf(stderr, "%s\n", gone.error().message.c_str());
        ::_exit(not_there);
      }
      ::_exit(attempt());
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
  }

  room::Room room_;
};

TEST_F(Wire, LeadsToTheRoomsListenersWhateverTheAddress) {
  std::vector<std::string> addresses = {"1.2.3.4", "10.0.0.5", "169.254.169.254", wire_room};
  if (sys::exists("/proc/net/if_inet6")) addresses.insert(addresses.end(), {"2606:4700::1", wire_room6});
  for (const std::string& address : addresses) {
    EXPECT_EQ(beyond([&] { return connect_to(address, 443); }), 0) << address;
  }
}

TEST_F(Wire, LeadsNowhereElse) {
  EXPECT_EQ(beyond([] { return connect_to("1.2.3.4", 8443); }), ECONNREFUSED);
  EXPECT_EQ(beyond([] { return connect_to("127.0.0.1", 443); }), ECONNREFUSED) << "the far end's own loopback";
}

TEST_F(Wire, TheFarEndIsUid0OfItsOwnAndNothingInTheRoom) {
  EXPECT_EQ(beyond([] { return ::geteuid() == 0 && ::getegid() == 0 ? 0 : 1; }), 0);
  EXPECT_EQ(beyond([&] { return ::setns(room_.net_ns.get(), CLONE_NEWNET) == 0 ? 1 : errno; }), EPERM);
}

TEST_F(Wire, TheRoomTakesNoAdvertisements) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!enter(room_) || !sys::exists("/proc/net/if_inet6")) ::_exit(0);
    const pid_t beyond_it = ::fork();
    if (beyond_it == 0) ::_exit(go_beyond_wire() ? 0 : 1);
    int status = 1;
    ::waitpid(beyond_it, &status, 0);
    const auto setting = sys::read_file("/proc/sys/net/ipv6/conf/default/accept_ra", 16);
    ::_exit(status == 0 && setting && *setting == "0\n" ? 0 : 1);
  }
  int status = 1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bulkhead::room
