#include "base/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace bulkhead {
namespace {

// How `attempt` ends in a confined child: its own exit code, or 1000 + signal.
int outcome(Role role, const std::function<int()>& attempt) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (auto done = confine(role); !done) {
      const std::string line = done.error().message + "\n";
      (void)!::write(2, line.data(), line.size());
      ::_exit(99);
    }
    ::_exit(attempt());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

constexpr int killed = 1000 + SIGSYS;

class Confine : public testing::TestWithParam<Role> {
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
  }
};

TEST_P(Confine, RunsItsOwnWork) {
  EXPECT_EQ(outcome(GetParam(), [] { return ::write(1, "", 0) == 0 ? 7 : 1; }), 7);
}
TEST_P(Confine, SeesNoFiles) {
  const int host = ::open("/etc/passwd", O_RDONLY);
  ASSERT_GE(host, 0);
  EXPECT_EQ(outcome(GetParam(), [] { return ::open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 7 : 1; }), 7);
  struct stat st{};
  // A descriptor for a directory of the empty root is all there is: even with stat allowed, no /etc.
  EXPECT_EQ(outcome(GetParam(), [&] { return ::fstatat(AT_FDCWD, "/etc", &st, 0) < 0 ? 7 : 1; }), 7);
  ::close(host);
}
TEST_P(Confine, StartsNoProcess) {
  EXPECT_EQ(outcome(GetParam(), [] { return ::fork() < 0 ? 1 : 2; }), killed);
  EXPECT_EQ(outcome(GetParam(), [] { return ::execl("/bin/true", "true", nullptr); }), killed);
}
TEST_P(Confine, MakesNoMemoryExecutable) {
  EXPECT_EQ(outcome(GetParam(),
                    [] {
                      return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                                     MAP_FAILED
                                 ? 1
                                 : 2;
                    }),
            killed);
}
TEST_P(Confine, OpensNoUnixSocketToTheHost) {
  EXPECT_EQ(outcome(GetParam(), [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), killed);
}

// What the names of a folder lead to is not its business.
class Walker : public testing::TestWithParam<Role> {};
INSTANTIATE_TEST_SUITE_P(Roles, Walker, testing::Values(Role::walker, Role::changes));

TEST_P(Walker, ListsAndOpensNoFile) {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
  const auto opens = [](int flags) {
    return outcome(GetParam(), [flags] { return ::openat(AT_FDCWD, "/", flags, 0600) >= 0 ? 7 : 1; });
  };
  EXPECT_EQ(opens(O_RDONLY | O_DIRECTORY), 7);
  EXPECT_EQ(opens(O_RDONLY), killed);
  EXPECT_EQ(opens(O_WRONLY | O_DIRECTORY), killed);
  EXPECT_EQ(opens(O_RDONLY | O_DIRECTORY | O_CREAT), killed);
  EXPECT_EQ(outcome(GetParam(), [] { return ::fork() < 0 ? 1 : 2; }), killed);
  EXPECT_EQ(outcome(GetParam(), [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), killed);
  EXPECT_EQ(outcome(GetParam(), [] { return ::unlinkat(AT_FDCWD, "x", 0); }), killed);
}

INSTANTIATE_TEST_SUITE_P(Roles, Confine,
                         testing::Values(Role::front, Role::egress, Role::evidence, Role::relay, Role::look));

TEST_P(Confine, OnlyEgressHasANetwork) {
  const int got = outcome(GetParam(), [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 ? 7 : 1; });
  EXPECT_EQ(got, GetParam() == Role::egress ? 7 : killed);
  EXPECT_EQ(outcome(GetParam(), [] { return ::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }), killed);
  // Not with one that it was given, either.
  const int dials = outcome(GetParam(), [] {
    const sockaddr nowhere{};
    return ::connect(STDERR_FILENO, &nowhere, sizeof nowhere) < 0 && errno == ENOTSOCK ? 7 : 1;
  });
  EXPECT_EQ(dials, GetParam() == Role::egress ? 7 : killed);
}

}  // namespace
}  // namespace bulkhead
