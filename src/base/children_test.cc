#include "base/children.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace bulkhead {
namespace {

TEST(Children, WhenTheyBeganAndThatTheyEnded) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::pause());
  EXPECT_GE(began(child), began(::getpid()));
  EXPECT_NE(began(::getpid()), 0U);
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(began(child), 0U) << "nobody has waited for it";
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(began(child), 0U);
}

TEST(Children, OfEveryThread) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  pid_t first = ::fork();
  if (first == 0) ::_exit(::pause());
  pid_t second = 0;
  // The thread lives on: with its end its children would become another thread's.
  std::thread thread([&] {
    second = ::fork();
    if (second == 0) ::_exit(::pause());
    char byte = 0;
    ASSERT_EQ(::read(go[0], &byte, 1), 1);
  });
  while (__atomic_load_n(&second, __ATOMIC_SEQ_CST) <= 0) std::this_thread::yield();
  const std::vector<pid_t> children = children_of(::getpid());
  EXPECT_NE(std::ranges::find(children, first), children.end());
  EXPECT_NE(std::ranges::find(children, second), children.end());
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  thread.join();
  for (const pid_t pid : {first, second}) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  EXPECT_TRUE(children_of(::getpid()).empty());
  EXPECT_TRUE(children_of(0).empty());
}

}  // namespace
}  // namespace bulkhead
