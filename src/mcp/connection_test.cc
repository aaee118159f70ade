// What a connection does about time; what it says is in tests/session/test_mcp_socket.py.
#include "mcp/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/sys.h"

namespace bulkhead::mcp {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds soon{50}, never{600'000};
constexpr const char* head =
    "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: */*\r\nMCP-Protocol-Version: "
    "2026-07-28\r\n"
    "Mcp-Method: tools/list\r\n";

// A client that says one thing and reads until the end.
class McpConnection : public testing::Test {
 protected:
  McpConnection() {
    auto pair = sys::socket_pair(SOCK_STREAM);
    EXPECT_TRUE(pair && sys::set_nonblocking(pair->second.get(), true));
    ours_ = std::move(pair->first);
    theirs_ = std::move(pair->second);
    limits_.idle = limits_.request = limits_.write = limits_.linger = never;
  }

  void begin(const std::string& said) {
    served_.emplace(session_, limits_);
    connection_.emplace(std::move(theirs_), *served_);
    thread_ = std::jthread([this] { connection_->run(); });
    say(said);
  }
  void say(const std::string& said) const { ASSERT_TRUE(sys::write_all(ours_.get(), said, "client")); }
  std::string hear() const { return sys::read_all(ours_.get(), 1U << 20, "client").value_or("?"); }

  Result<Session> made_ = Session::make({});
  Session& session_ = *made_;
  SocketLimits limits_;
  UniqueFd ours_, theirs_;
  std::optional<Served> served_;
  std::optional<Connection> connection_;
  std::jthread thread_;
};

TEST_F(McpConnection, WhoSaysNothingIsLeft) {
  limits_.idle = soon;
  begin("");
  EXPECT_EQ(hear(), "");
}

TEST_F(McpConnection, HalfAHeadIsNotWaitedForWithoutEnd) {
  limits_.request = soon;
  limits_.linger = soon;
  begin("POST /mcp HT");
  EXPECT_TRUE(hear().starts_with("HTTP/1.1 408 "));
}

TEST_F(McpConnection, HalfABodyIsNotWaitedForWithoutEnd) {
  limits_.request = soon;
  limits_.linger = soon;
  begin(std::string(head) + "Content-Length: 10\r\n\r\n{");
  EXPECT_TRUE(hear().starts_with("HTTP/1.1 408 "));
  thread_.join();
  EXPECT_EQ(served_->bodies, 0U);
}

TEST_F(McpConnection, WhoIsRefusedAndGoesOnSendingIsLeft) {
  limits_.linger = soon;
  begin("GET /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx");
  EXPECT_TRUE(hear().starts_with("HTTP/1.1 405 "));
  thread_.join();
}

TEST_F(McpConnection, WhoDoesNotReadIsLeft) {
  limits_.write = soon;
  const int little = 1;
  (void)::setsockopt(theirs_.get(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
  const std::string body = R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{")" +
                           std::string(version_key) + R"(":"2026-07-28"}}})";
  const std::string one = std::string(head) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  begin(one);
  // Its answers fill what there is of room; the connection then ends by itself.
  while (::send(ours_.get(), one.data(), one.size(), MSG_NOSIGNAL) > 0) {
  }
  thread_.join();
}

TEST_F(McpConnection, TooMuchAtOnceIsRefused) {
  limits_.bodies = 100;
  limits_.linger = soon;
  begin(std::string(head) + "Connection: close\r\nContent-Length: 200\r\n\r\n" + std::string(200, ' '));
  EXPECT_TRUE(hear().starts_with("HTTP/1.1 503 "));
  thread_.join();
  EXPECT_EQ(served_->bodies, 0U);
}

TEST_F(McpConnection, WhoWaitsForTheWordToGoOnHearsIt) {
  begin(std::string(head) + "Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n");
  char buffer[64] = "";
  EXPECT_GT(::read(ours_.get(), buffer, sizeof buffer - 1), 0);
  EXPECT_STREQ(buffer, "HTTP/1.1 100 Continue\r\n\r\n");
  say("{}");
  EXPECT_TRUE(hear().starts_with("HTTP/1.1 400 "));
}

TEST_F(McpConnection, HangingUpEndsWhateverItWaitsFor) {
  begin("POST");
  connection_->hang_up();
  thread_.join();
}

}  // namespace
}  // namespace bulkhead::mcp
