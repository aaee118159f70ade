// The real bulkhead-relay, confined: a call that its seccomp list lacks would kill it here.
#include "relay/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <deque>
#include <nlohmann/json.hpp>
#include <string>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::relay {
namespace {

constexpr timeval patience{10, 0};

void limit(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::string all(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

class RelayTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
    ::signal(SIGPIPE, SIG_IGN);
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener_.get(), 64), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);

    const auto program = sys::open(BULKHEAD_RELAY, O_PATH);
    auto control = sys::socket_pair(SOCK_SEQPACKET), evidence = sys::socket_pair(SOCK_SEQPACKET);
    auto holder = sys::socket_pair(SOCK_SEQPACKET);
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-relay"};
    options.fds = {-1, -1, 2, control->second.get(), evidence->second.get()};
    child_ = std::move(*spawn(options));
    control_ = std::move(control->first);
    evidence_ = std::move(evidence->first);
    holder_ = std::move(holder->first);
    for (const UniqueFd* fd : {&control_, &evidence_, &holder_}) limit(fd->get());
    const int fds[] = {holder->second.get(), listener_.get()};
    const nlohmann::json ports = nlohmann::json::array({{{"port", port_}, {"inside", 80}}});
    ASSERT_TRUE(ipc::send(control_.get(), nlohmann::json{{"type", "relay"}, {"ports", ports}}, fds));
    listener_.reset();  // its own is the only one
    const auto ready = ipc::receive(control_.get());
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_EQ(ready->text, R"({"type":"ready"})");
  }

  UniqueFd client() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    limit(fd.get());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
  }
  std::string question() const {
    const auto asked = ipc::receive(holder_.get());
    return asked ? asked->text : "nothing";
  }
  // The server inside, which has been reached.
  UniqueFd reach() const {
    auto pair = sys::socket_pair(SOCK_STREAM);
    limit(pair->first.get());
    (void)sys::set_nonblocking(pair->second.get(), true);
    const int theirs = pair->second.get();
    EXPECT_TRUE(ipc::send(holder_.get(), std::string_view("."), std::span(&theirs, 1)));
    return std::move(pair->first);
  }
  nlohmann::json event() const {
    const auto said = ipc::receive(evidence_.get());
    return said && !said->closed ? nlohmann::json::parse(said->text) : nlohmann::json{{"type", "none"}};
  }

  UniqueFd listener_, control_, evidence_, holder_;
  std::uint16_t port_ = 0;
  Child child_;
};

const std::string four("\0004", 2), six("\0006", 2);

TEST_F(RelayTest, BytesBothWaysAndEachSidesEnd) {
  const UniqueFd client = this->client();
  ASSERT_EQ(question(), four);
  const UniqueFd server = reach();
  auto opened = event();
  EXPECT_EQ(opened["type"], "publish.open");
  EXPECT_EQ(opened["port"], port_);
  EXPECT_EQ(opened["inside"], 80);
  EXPECT_TRUE(opened["peer"].get<std::string>().starts_with("127.0.0.1:"));
  ASSERT_EQ(::send(client.get(), "request", 7, 0), 7);
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(all(server.get()), "request");
  // The other direction goes on.
  ASSERT_EQ(::send(server.get(), "answer", 6, 0), 6);
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(all(client.get()), "answer");
  const auto ended = event();
  EXPECT_EQ(ended["type"], "publish.end");
  EXPECT_EQ(ended["reason"], "end");
  EXPECT_EQ(ended["bytes_in"], 7);
  EXPECT_EQ(ended["bytes_out"], 6);
}

TEST_F(RelayTest, NobodyListensInside) {
  const UniqueFd client = this->client();
  ASSERT_EQ(question(), four);
  ASSERT_TRUE(ipc::send(holder_.get(), std::string_view(".")));
  ASSERT_EQ(question(), six) << "perhaps by IPv6";
  ASSERT_TRUE(ipc::send(holder_.get(), std::string_view(".")));
  char byte = 0;
  EXPECT_LT(::recv(client.get(), &byte, 1, 0), 0);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(event()["reason"], "refused");
}

TEST_F(RelayTest, WhoeverBreaksOffIsSaid) {
  for (const bool by_client : {true, false}) {
    UniqueFd client = this->client();
    ASSERT_EQ(question(), four);
    UniqueFd server = reach();
    EXPECT_EQ(event()["type"], "publish.open");
    if (by_client) {
      const linger hard{1, 0};
      ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      client.reset();
      EXPECT_EQ(all(server.get()), "");
    } else {
      // With something unread, so that it is a reset.
      ASSERT_EQ(::send(client.get(), "x", 1, 0), 1);
      pollfd there{server.get(), POLLIN, 0};
      ASSERT_EQ(::poll(&there, 1, 10'000), 1);
      server.reset();
      char byte = 0;
      EXPECT_LT(::recv(client.get(), &byte, 1, 0), 0);
    }
    EXPECT_EQ(event()["reason"], by_client ? "client-gone" : "server-gone");
  }
}

// A workload that does not read costs a buffer, not memory without end.
TEST_F(RelayTest, WhatNobodyReadsIsNotKept) {
  const UniqueFd client = this->client();
  ASSERT_EQ(question(), four);
  const UniqueFd server = reach();
  const std::string much(1 << 20, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 256; ++i) {
    const ssize_t n = ::send(client.get(), much.data(), much.size(), MSG_DONTWAIT);
    if (n > 0) sent += static_cast<std::size_t>(n);
    pollfd p{client.get(), POLLOUT, 0};
    if (n <= 0 && ::poll(&p, 1, 500) == 0) break;
  }
  EXPECT_LT(sent, 64U << 20) << "as much as the kernel's buffers, and ours";
  const auto status = sys::read_file("/proc/" + std::to_string(child_.pid()) + "/status", 64 * 1024);
  ASSERT_TRUE(status);
  EXPECT_LT(std::stoul(status->substr(status->find("VmRSS:") + 6)), 32U * 1024);
}

TEST_F(RelayTest, MoreThanItTakesWait) {
  const std::size_t most = Limits().links;
  std::vector<UniqueFd> clients, servers;
  for (std::size_t i = 0; i < most + 5; ++i) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back());
    if (i >= most) continue;
    ASSERT_EQ(question(), four) << i;
    servers.push_back(reach());
    EXPECT_EQ(event()["type"], "publish.open");
  }
  pollfd p{holder_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 300), 0) << "it asks for more than it may carry";
  clients.front().reset();
  servers.front().reset();
  EXPECT_EQ(event()["reason"], "end");
  EXPECT_EQ(question(), four);
}

TEST_F(RelayTest, EndsWithTheSession) {
  const UniqueFd client = this->client();
  ASSERT_EQ(question(), four);
  const UniqueFd server = reach();
  EXPECT_EQ(event()["type"], "publish.open");
  ::shutdown(control_.get(), SHUT_WR);
  EXPECT_EQ(event()["reason"], "ended");
  EXPECT_EQ(child_.wait()->shell(), 0);
  EXPECT_EQ(all(client.get()), "");
  EXPECT_FALSE(this->client()) << "nobody listens any more";
}

TEST_F(RelayTest, WithoutEvidenceOrHolderItEnds) {
  evidence_.reset();
  const UniqueFd client = this->client();
  EXPECT_EQ(child_.wait()->shell(), 125);
}

TEST_F(RelayTest, HasNothingButItsDescriptors) {
  const std::string proc = "/proc/" + std::to_string(child_.pid());
  const auto status = sys::read_file(proc + "/status", 64 * 1024);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("Seccomp:\t2"), std::string::npos);
  EXPECT_NE(status->find("NoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(status->find("CapEff:\t0000000000000000"), std::string::npos);
  if (::geteuid() == 0) return;
  EXPECT_FALSE(sys::open(proc + "/environ", O_RDONLY)) << "others of its user may look into it";
}

}  // namespace
}  // namespace bulkhead::relay
