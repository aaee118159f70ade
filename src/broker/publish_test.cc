#include "broker/publish.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <system_error>

#include "base/ipc.h"
#include "base/sys.h"

namespace bulkhead::broker {
namespace {

struct PublisherTest : testing::Test {
  PublisherTest() {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) throw std::system_error(errno, std::generic_category(), "socket");
    listener.reset(made);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(made, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener.get(), 8), 0);
    EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    auto pair = sys::socket_pair(SOCK_SEQPACKET);
    relay = std::move(pair->first);
    publisher.emplace(std::move(pair->second), std::vector<std::uint16_t>{ntohs(address.sin_port)});
  }
  Result<bool> ask(std::string_view question) {
    (void)ipc::send(relay.get(), question);
    return publisher->answer();
  }
  UniqueFd listener, relay;
  std::optional<Publisher> publisher;
};

TEST_F(PublisherTest, ConnectsToThePublishedPort) {
  ASSERT_TRUE(ask({"\0004", 2}).value_or(false));
  auto answer = ipc::receive(relay.get());
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->fds.size(), 1U);
  pollfd p{listener.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 10'000), 1);
}

// One that was taken over asks for what it likes.
TEST_F(PublisherTest, AndToNoOther) {
  for (const std::string_view question : {std::string_view("\0014", 2), std::string_view("\3774", 2),
                                          std::string_view("\0", 1), std::string_view("\00044", 3)}) {
    EXPECT_FALSE(ask(question));
  }
  pollfd p{relay.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 0), 0) << "it got something";
  relay.reset();
  EXPECT_FALSE(publisher->answer().value_or(true)) << "its end is no error";
}

}  // namespace
}  // namespace bulkhead::broker
