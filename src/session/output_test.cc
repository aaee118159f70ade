#include "session/output.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/sys.h"
#include "session/limits.h"

namespace bulkhead::session {
namespace {

using std::chrono::milliseconds;

struct Stage {
  sys::Pair out = *sys::pipe(), err = *sys::pipe();
  int stdio[3] = {-1, out.second.get(), err.second.get()};
  Output output;
  std::string rest(UniqueFd& from) {
    out.second.reset();
    err.second.reset();
    return *sys::read_all(from.get(), 1 << 20, "test");
  }
};

void write(int fd, const std::string& text) {
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

TEST(OutputTest, WithoutALimitNothingChanges) {
  Stage stage;
  const int before = stage.stdio[1];
  ASSERT_TRUE(stage.output.begin(stage.stdio, std::nullopt));
  EXPECT_EQ(stage.stdio[1], before);
  stage.output.pty(1 << 30);
  EXPECT_FALSE(stage.output.over());
  EXPECT_TRUE(stage.output.finish(-1));
}

#if !(defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
TEST(OutputTest, BothTogetherAreCounted) {
  Stage stage;
  ASSERT_TRUE(stage.output.begin(stage.stdio, 10));
  write(stage.stdio[1], "123456");
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_FALSE(stage.output.over());
  write(stage.stdio[2], "abcdef");
  stage.output.close_pipes();
  EXPECT_TRUE(stage.output.finish(-1));
  EXPECT_TRUE(stage.output.over());
  EXPECT_EQ(stage.rest(stage.out.first), "123456");
  EXPECT_EQ(stage.rest(stage.err.first), "abcd") << "what is within it is passed on";
}

TEST(OutputTest, ThePtyCountsToo) {
  Stage stage;
  ASSERT_TRUE(stage.output.begin(stage.stdio, 10));
  stage.output.pty(8);
  EXPECT_FALSE(stage.output.over());
  write(stage.stdio[1], "123");
  stage.output.close_pipes();
  EXPECT_TRUE(stage.output.finish(-1));
  EXPECT_TRUE(stage.output.over());
  EXPECT_EQ(stage.rest(stage.out.first), "12");
}

TEST(OutputTest, OneFileForBothKeepsItsOrder) {
  Stage stage;
  stage.stdio[2] = stage.stdio[1];
  ASSERT_TRUE(stage.output.begin(stage.stdio, 100));
  EXPECT_EQ(stage.stdio[1], stage.stdio[2]);
  EXPECT_EQ(stage.output.pidfds().size(), 1U);
}

TEST(OutputTest, AReaderThatIsGone) {
  Stage stage;
  stage.out.first.reset();
  ASSERT_TRUE(stage.output.begin(stage.stdio, 100));
  write(stage.stdio[1], "x");
  stage.output.close_pipes();
  EXPECT_TRUE(stage.output.finish(-1)) << "as without us, that is nobody's fault";
  EXPECT_FALSE(stage.output.over());
}
#endif

void burn(milliseconds time) {
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (milliseconds(used.tv_sec * 1000 + used.tv_nsec / 1'000'000) < time);
}

pid_t burner(milliseconds time) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    burn(time);
    ::_exit(0);
  }
  return pid;
}

TEST(CpuTimeTest, OfTheLivingAndTheDead) {
  CpuTime cpu;
  const milliseconds before = cpu.used(::getpid());
  int status = 0;
  ASSERT_EQ(::waitpid(burner(milliseconds(300)), &status, 0) > 0, true);
  const milliseconds after = cpu.used(::getpid());
  EXPECT_GE(after - before, milliseconds(250));
  const pid_t child = burner(milliseconds(10'000));
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_GT(cpu.used(::getpid()), after + milliseconds(50));
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
}

TEST(CpuTimeTest, WhatWasSeenIsNotForgotten) {
  // Of what nobody waits for, the kernel tells nobody.
  (void)::signal(SIGCHLD, SIG_IGN);
  CpuTime cpu;
  const milliseconds before = cpu.used(::getpid());
  const pid_t child = burner(milliseconds(10'000));
  milliseconds seen = before;
  while (seen - before < milliseconds(300)) {
    std::this_thread::sleep_for(milliseconds(50));
    seen = cpu.used(::getpid());
  }
  ::kill(child, SIGKILL);
  while (::kill(child, 0) == 0) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_GE(cpu.used(::getpid()), seen);
  (void)::signal(SIGCHLD, SIG_DFL);
}

}  // namespace
}  // namespace bulkhead::session
