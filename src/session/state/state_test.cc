#include "session/state/state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/sys.h"

namespace bulkhead::session {
namespace {

class StateTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-state-test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    home_ = name;
    paths_ = *Paths::from({.home = home_, .xdg_state_home = "", .xdg_config_home = "", .xdg_runtime_dir = ""});
  }
  void TearDown() override { (void)sys::remove_tree(AT_FDCWD, home_); }

  Store store() {
    auto opened = Store::open(paths_);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  static SessionInfo info() {
    SessionInfo info;
    info.tier = "native";
    info.profile = "shell";
    info.workspace = "/work/a";
    info.command = {"bash", "-c", "a \x01 b"};
    return info;
  }
  // A session whose supervisor is SIGKILLed.
  std::string dead_session() {
    auto pipe = sys::pipe();
    const pid_t pid = ::fork();
    if (pid == 0) {
      Store own = store();
      auto session = own.create(info());
      (void)sys::write_all(pipe->second.get(), session->id(), "pipe");
      pipe->second.reset();
      ::pause();
    }
    pipe->second.reset();
    const std::string id = *sys::read_all(pipe->first.get(), 100, "pipe");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return id;
  }
  std::string sessions() const { return paths_.state + "/sessions/"; }

  std::string home_;
  Paths paths_;
};

TEST(Paths, FollowsXdgAndRefusesNoHome) {
  const auto plain = Paths::from({.home = "/h", .xdg_state_home = "", .xdg_config_home = "rel", .xdg_runtime_dir = ""});
  EXPECT_EQ(plain->state, "/h/.local/state/bulkhead");
  EXPECT_EQ(plain->config, "/h/.config/bulkhead");
  EXPECT_EQ(plain->runtime, "");
  const auto xdg =
      Paths::from({.home = "/h", .xdg_state_home = "/s", .xdg_config_home = "/c", .xdg_runtime_dir = "/r"});
  EXPECT_EQ(xdg->state, "/s/bulkhead");
  EXPECT_EQ(xdg->config, "/c/bulkhead");
  EXPECT_EQ(xdg->runtime, "/r/bulkhead");
  EXPECT_FALSE(Paths::from({}));
  EXPECT_FALSE(Paths::from({.home = "h", .xdg_state_home = "", .xdg_config_home = "", .xdg_runtime_dir = ""}));
}

TEST_F(StateTest, ALiveSessionIsListedWithWhatItIs) {
  Store s = store();
  auto session = s.create(info());
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_TRUE(valid_id(session->id()));
  const auto list = *s.list();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_TRUE(list[0].alive);
  EXPECT_EQ(list[0].id, session->id());
  EXPECT_EQ(list[0].command, info().command);
  EXPECT_EQ(list[0].workspace, "/work/a");
  EXPECT_EQ(list[0].pid, ::getpid());
  EXPECT_EQ(list[0].pid_start_time, *sys::process_start_time(::getpid()));
  EXPECT_TRUE(s.sweep()->empty());
  EXPECT_EQ(s.list()->size(), 1u);
}

TEST_F(StateTest, FilesArePrivateAndDescriptorsCloseOnExec) {
  Store s = store();
  auto session = s.create(info());
  ASSERT_TRUE(session);
  struct stat st{};
  for (const std::string& path : {paths_.state, sessions(), sessions() + session->id(), paths_.state + "/evidence"}) {
    ASSERT_EQ(::stat(path.c_str(), &st), 0) << path;
    EXPECT_EQ(st.st_mode & 07777, 0700u) << path;
  }
  ASSERT_EQ(::stat((paths_.state + "/evidence/" + session->id() + ".jsonl").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  const UniqueFd log = session->take_log();
  EXPECT_EQ(::fcntl(log.get(), F_GETFL) & (O_APPEND | O_ACCMODE), O_APPEND | O_WRONLY);
  EXPECT_EQ(::fcntl(log.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(session->directory(), F_GETFD), FD_CLOEXEC);
}

TEST_F(StateTest, TheEndLeavesOnlyTheEvidence) {
  Store s = store();
  std::string id;
  {
    auto session = s.create(info());
    id = session->id();
    ASSERT_TRUE(sys::write_file_atomically(sessions() + id + "/more", "x", 0600));
    ASSERT_TRUE(session->remove());
    ASSERT_TRUE(session->remove()) << "idempotent";
  }
  EXPECT_FALSE(sys::exists(sessions() + id));
  EXPECT_TRUE(sys::exists(paths_.state + "/evidence/" + id + ".jsonl"));
  {
    auto session = s.create(info());
  }
  EXPECT_TRUE(s.list()->empty()) << "the destructor removes";
}

TEST_F(StateTest, AForkedCopyRemovesNothing) {
  Store s = store();
  auto session = s.create(info());
  const pid_t pid = ::fork();
  if (pid == 0) {
    {
      const SessionDir copy = std::move(*session);
    }
    ::_exit(0);
  }
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(sys::exists(sessions() + session->id() + "/lock"));
}

TEST_F(StateTest, ADeadSupervisorsSessionIsSweptAndItsEvidenceStays) {
  const std::string id = dead_session();
  Store s = store();
  auto mine = s.create(info());
  ASSERT_EQ(s.list()->size(), 2u);
  EXPECT_EQ(std::ranges::count_if(*s.list(), &SessionInfo::alive), 1);
  EXPECT_EQ(*s.sweep(), std::vector<std::string>{id});
  EXPECT_FALSE(sys::exists(sessions() + id));
  EXPECT_TRUE(sys::exists(paths_.state + "/evidence/" + id + ".jsonl"));
  EXPECT_TRUE(sys::exists(sessions() + mine->id()));
  EXPECT_TRUE(s.sweep()->empty());
}

TEST_F(StateTest, SweepReleasesAReserveThatACrashLeft) {
  const std::string id = dead_session();
  const auto log = sys::open(paths_.state + "/evidence/" + id + ".jsonl", O_RDWR);
  ASSERT_TRUE(sys::write_all(log->get(), "line\n", "log"));
  ASSERT_EQ(::fallocate(log->get(), FALLOC_FL_KEEP_SIZE, 5, 1 << 20), 0);
  ASSERT_TRUE(store().sweep());
  const auto st = *sys::stat_fd(log->get(), "log");
  EXPECT_EQ(st.st_size, 5);
  EXPECT_LT(st.st_blocks * 512, 65536);
}

TEST_F(StateTest, HalfMadeSessionsAreLeftAloneWhileFresh) {
  Store s = store();
  const std::string half = sessions() + ".new-abcdefghijkl";
  ASSERT_EQ(::mkdir(half.c_str(), 0700), 0);
  EXPECT_TRUE(s.sweep()->empty());
  EXPECT_TRUE(sys::exists(half));
  EXPECT_TRUE(s.list()->empty());
}

TEST_F(StateTest, SweepLeavesWhatIsNotOurs) {
  Store s = store();
  ASSERT_EQ(::mkdir((sessions() + "notes").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((home_ + "/precious").c_str(), 0700), 0);
  ASSERT_EQ(::symlink((home_ + "/precious").c_str(), (sessions() + "abcdefghijkl").c_str()), 0);
  EXPECT_TRUE(s.sweep()->empty());
  EXPECT_TRUE(sys::exists(sessions() + "notes"));
  EXPECT_TRUE(sys::exists(home_ + "/precious"));
}

TEST_F(StateTest, SweepDoesNotFollowLinksPlantedInADeadSession) {
  const std::string id = dead_session();
  ASSERT_EQ(::mkdir((home_ + "/precious").c_str(), 0700), 0);
  ASSERT_TRUE(sys::write_file_atomically(home_ + "/precious/file", "x", 0600));
  ASSERT_EQ(::symlink((home_ + "/precious").c_str(), (sessions() + id + "/link").c_str()), 0);
  ASSERT_EQ(store().sweep()->size(), 1u);
  EXPECT_TRUE(sys::exists(home_ + "/precious/file"));
}

TEST_F(StateTest, RefusesAStateDirectoryThatIsASymlinkOrWritableByOthers) {
  (void)store();
  ASSERT_EQ(::chmod(sessions().c_str(), 0770), 0);
  EXPECT_FALSE(Store::open(paths_));
  ASSERT_EQ(::chmod(sessions().c_str(), 0700), 0);
  ASSERT_TRUE(Store::open(paths_));
  ASSERT_EQ(::rename(paths_.state.c_str(), (home_ + "/moved").c_str()), 0);
  ASSERT_EQ(::symlink((home_ + "/moved").c_str(), paths_.state.c_str()), 0);
  const auto linked = Store::open(paths_);
  ASSERT_FALSE(linked);
  EXPECT_NE(linked.error().message.find("symbolic link"), std::string::npos) << linked.error().message;
}

TEST_F(StateTest, RefusesSomebodyElsesStateDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make one";
  (void)store();
  ASSERT_EQ(::chown(sessions().c_str(), 12345, 12345), 0);
  EXPECT_FALSE(Store::open(paths_));
}

TEST_F(StateTest, LookingMakesNothing) {
  const auto looked = Store::open_existing(paths_);
  ASSERT_TRUE(looked);
  EXPECT_TRUE(looked->list()->empty());
  EXPECT_TRUE(looked->sweep()->empty());
  EXPECT_FALSE(sys::exists(home_ + "/.local"));
}

// Creating, listing and sweeping at once: no live session is ever taken, nothing dead stays.
TEST_F(StateTest, SweepsAndCreationsAtOnce) {
  (void)store();
  std::vector<pid_t> children;
  for (int c = 0; c < 6; ++c) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      Store s = store();
      for (int i = 0; i < 30; ++i) {
        if (c < 2) {
          if (!s.sweep() || !s.list()) ::_exit(1);
          continue;
        }
        auto session = s.create(info());
        if (!session) ::_exit(2);
        if (!sys::exists(sessions() + session->id() + "/lock")) ::_exit(3);
        if (i == 29) ::kill(::getpid(), SIGKILL);
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (std::size_t c = 0; c < children.size(); ++c) {
    int status = 0;
    ::waitpid(children[c], &status, 0);
    if (c < 2) {
      EXPECT_EQ(status, 0);
    } else {
      EXPECT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    }
  }
  Store s = store();
  EXPECT_TRUE(s.sweep());
  EXPECT_TRUE(s.list()->empty());
}

}  // namespace
}  // namespace bulkhead::session
