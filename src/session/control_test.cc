#include "session/control.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "session/state/connect.h"

namespace bulkhead::session {
namespace {

class ControlTest : public testing::Test {
 protected:
  void SetUp() override {
    // Longer than a socket's address may be.
    char where[] = "/tmp/bulkhead-control-test-XXXXXX";
    ASSERT_NE(::mkdtemp(where), nullptr);
    root_ = where;
    const std::string folder = root_ + "/" + std::string(120, 'x');
    ASSERT_TRUE(sys::make_directories(folder, 0700));
    directory_ = std::move(*sys::open(folder, O_RDONLY | O_DIRECTORY));
    auto control = Control::open(directory_.get());
    ASSERT_TRUE(control) << control.error().message;
    control_ = std::move(*control);
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root_)); }

  std::string root_;
  UniqueFd directory_;
  Control control_;
};

TEST_F(ControlTest, AnswersItsOwner) {
  struct stat st{};
  ASSERT_EQ(::fstatat(directory_.get(), "control", &st, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
  EXPECT_EQ(st.st_mode & 0777, 0600U);

  auto peer = connect_control(directory_.get());
  ASSERT_TRUE(peer) << peer.error().message;
  control_.accept();
  ASSERT_EQ(control_.connections().size(), 1U);
  const int connection = control_.connections()[0];
  EXPECT_FALSE(control_.receive(connection));  // nothing yet, and still there
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(ipc::send(peer->get(), nlohmann::json{{"type", "x"}, {"n", i}}));
    const auto request = control_.receive(connection);
    ASSERT_TRUE(request);
    EXPECT_EQ((*request)["n"], i);
    control_.answer({{"ok", true}, {"n", i}});
    EXPECT_EQ((*ipc::parse(ipc::receive(peer->get())->text))["n"], i);
  }
  peer->reset();
  EXPECT_FALSE(control_.receive(connection));
  EXPECT_TRUE(control_.connections().empty());
  control_.answer({{"ok", true}});  // to nobody
}

TEST_F(ControlTest, WhoSpeaksNoJsonIsClosed) {
  for (const std::string_view text : {"revoke", "[1]", "{\"a\":", "\xff\xfe"}) {
    auto peer = connect_control(directory_.get());
    ASSERT_TRUE(peer);
    control_.accept();
    ASSERT_TRUE(ipc::send(peer->get(), text));
    EXPECT_FALSE(control_.receive(control_.connections()[0]));
    EXPECT_TRUE(control_.connections().empty());
    EXPECT_TRUE(ipc::receive(peer->get())->closed);
  }
}

TEST_F(ControlTest, ManyWaitersCostTheOldest) {
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 140; ++i) {
    auto peer = connect_control(directory_.get());
    ASSERT_TRUE(peer);
    control_.accept();
    peers.push_back(std::move(*peer));
  }
  EXPECT_EQ(control_.connections().size(), 128U);
  EXPECT_TRUE(ipc::receive(peers[0].get())->closed);
}

// What a session is to its supervisor: the same uid, and another pid namespace.
TEST_F(ControlTest, NobodyOfAnotherPidNamespace) {
  const pid_t outer = ::fork();
  ASSERT_GE(outer, 0);
  if (outer == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) ::_exit(77);
    const pid_t inner = ::fork();
    if (inner == 0) {
      auto peer = connect_control(directory_.get());
      if (!peer) ::_exit(2);
      (void)ipc::send(peer->get(), nlohmann::json{{"type", "revoke"}});
      pollfd p{peer->get(), POLLIN, 0};
      if (::poll(&p, 1, 10'000) != 1) ::_exit(3);
      auto answer = ipc::receive(peer->get());
      if (!answer || answer->closed) ::_exit(4);
      ::_exit(answer->text.find("inside a container or a session") != std::string::npos ? 0 : 5);
    }
    int status = 0;
    ::waitpid(inner, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 6);
  }
  int status = 0;
  for (int i = 0; i < 1000 && ::waitpid(outer, &status, WNOHANG) == 0; ++i) {
    control_.accept();
    for (const int fd : control_.connections()) {
      if (control_.receive(fd)) control_.answer({{"ok", true}});
    }
    ::poll(nullptr, 0, 10);
  }
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(control_.connections().empty());
}

}  // namespace
}  // namespace bulkhead::session
