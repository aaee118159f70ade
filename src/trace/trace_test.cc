// The real bulkhead-trace, confined: a call that its seccomp list lacks would kill it here.
#include "trace/trace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"
#include "trace/test_help.h"

namespace bulkhead::trace {
namespace {

constexpr timeval patience{10, 0};

void limit(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

class TraceTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
    ::signal(SIGPIPE, SIG_IGN);
    listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    address_.sun_family = AF_UNIX;
    std::snprintf(static_cast<char*>(address_.sun_path), sizeof address_.sun_path, "%cbulkhead-trace-test-%d", 0,
                  ::getpid());
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
    const auto program = sys::open(BULKHEAD_TRACE, O_PATH);
    auto control = sys::socket_pair(SOCK_SEQPACKET), evidence = sys::socket_pair(SOCK_SEQPACKET);
    auto tier = sys::socket_pair(SOCK_SEQPACKET);
    auto said = sys::pipe();
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-trace"};
    options.fds = {-1, -1, said->second.get(), control->second.get(), evidence->second.get(), tier->second.get()};
    child_ = std::move(*spawn(options));
    said_ = std::move(said->first);
    control_ = std::move(control->first);
    evidence_ = std::move(evidence->first);
    for (const UniqueFd* fd : {&control_, &evidence_}) limit(fd->get());
    const int fd = listener_.get();
    ASSERT_TRUE(ipc::send(tier->first.get(), std::string_view("."), std::span(&fd, 1)));
    listener_.reset();
  }

  // As runsc does, before the workload exists.
  void greet(const std::string& greeting = "\x08\x01") {
    sentry_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(sentry_);
    limit(sentry_.get());
    ASSERT_EQ(::connect(sentry_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    send(greeting);
    char answer[64];
    const ssize_t n = ::recv(sentry_.get(), answer, sizeof answer, 0);
    ASSERT_EQ(std::string(answer, static_cast<std::size_t>(std::max<ssize_t>(n, 0))), "\x08\x01");
    const auto ready = ipc::receive(control_.get());
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_EQ(ready->text, R"({"type":"ready"})");
  }
  void send(const std::string& datagram) const {
    EXPECT_EQ(::send(sentry_.get(), datagram.data(), datagram.size(), 0), static_cast<ssize_t>(datagram.size()));
  }
  nlohmann::json event() const {
    const auto said = ipc::receive(evidence_.get());
    return said && !said->closed ? nlohmann::json::parse(said->text) : nlohmann::json{{"type", "none"}};
  }
  std::string failure() {
    EXPECT_EQ(child_.wait()->shell(), 125);
    return *sys::read_all(said_.get(), 4096, "stderr");
  }

  UniqueFd listener_, control_, evidence_, sentry_, said_;
  sockaddr_un address_{};
  Child child_;
};

TEST_F(TraceTest, RecordsWithLineage) {
  greet();
  send(clone_of(1, 2));
  send(exec_of(2, "/usr/bin/dash", {"sh", "-c", "x\xff"}));
  send(call_of(2, SYS_execve));
  send(open_of(2, "out", O_WRONLY | O_CREAT | O_TRUNC, "", "/work"));
  send(exit_of(2, 9));
  auto one = event();
  EXPECT_EQ(one, (nlohmann::json{{"type", "process.start"}, {"pid", 2}, {"parent", 1}, {"seen_by", "gvisor"}}));
  one = event();
  EXPECT_EQ(one["type"], "process.exec");
  EXPECT_EQ(one["parent"], 1);
  EXPECT_EQ(one["name"], "dash");
  EXPECT_EQ(one["arguments"], (nlohmann::json{"sh", "-c", "x\xEF\xBF\xBD"}));
  one = event();
  EXPECT_EQ(one["type"], "file.open") << "the call's end was no second program";
  EXPECT_EQ(one["path"], "/work/out");
  EXPECT_EQ(one["how"], (nlohmann::json{"write", "create", "truncate"}));
  one = event();
  EXPECT_EQ(one["signal"], 9);
}

TEST_F(TraceTest, AProgramThatWasNotToldIsRecorded) {
  greet();
  send(call_of(7, SYS_execveat));
  const auto one = event();
  EXPECT_EQ(one["type"], "process.exec");
  EXPECT_EQ(one["untold"], true);
  EXPECT_FALSE(one.contains("path"));
}

TEST_F(TraceTest, AFloodIsCountedNotKept) {
  greet();
  for (int i = 0; i < 12'000; ++i) {
    send(clone_of(1, 2));
    if (i % 64 == 0) send(exit_of(2, 0));
    // Evidence reads, so that what is measured is not its patience.
    pollfd p{evidence_.get(), POLLIN, 0};
    while (::poll(&p, 1, 0) == 1) (void)ipc::receive(evidence_.get());
  }
  sentry_.reset();
  ::shutdown(control_.get(), SHUT_WR);
  std::uint64_t left_out = 0;
  for (auto one = event(); one["type"] != "none"; one = event()) {
    if (one["type"] == "process.omitted") left_out += one["start"].get<std::uint64_t>();
  }
  EXPECT_GT(left_out, 1000U);
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(TraceTest, WhatGvisorCouldNotSendIsRecorded) {
  greet();
  send(with_header(4, by<points::Exit>(4).SerializeAsString(), 77));
  EXPECT_EQ(event()["type"], "process.exit");
  const auto one = event();
  EXPECT_EQ(one["type"], "process.omitted");
  EXPECT_EQ(one["unsent"], 77);
}

TEST_F(TraceTest, NonsenseEndsIt) {
  greet();
  send("nonsense");
  EXPECT_NE(failure().find("makes no sense"), std::string::npos);
}

TEST_F(TraceTest, SilenceEndsIt) {
  greet();
  sentry_.reset();
  EXPECT_NE(failure().find("tells no more"), std::string::npos);
}

TEST_F(TraceTest, OnlyOneIsHeard) {
  greet();
  const UniqueFd other(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(other);
  EXPECT_NE(::connect(other.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
}

TEST_F(TraceTest, ABadGreetingEndsIt) {
  sentry_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(sentry_);
  ASSERT_EQ(::connect(sentry_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
  send("GET / HTTP/1.1");
  EXPECT_NE(failure().find("makes no sense"), std::string::npos);
}

TEST_F(TraceTest, EndsWithTheSession) {
  greet();
  send(clone_of(1, 2));
  ::shutdown(control_.get(), SHUT_WR);
  EXPECT_EQ(event()["type"], "process.start") << "what was told by then is recorded";
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(TraceTest, BeforeGvisorCameToo) {
  ::shutdown(control_.get(), SHUT_WR);
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(TraceTest, WithoutEvidenceItEnds) {
  greet();
  evidence_.reset();
  send(clone_of(1, 2));
  EXPECT_EQ(child_.wait()->shell(), 125);
}

TEST_F(TraceTest, HasNothingButItsDescriptors) {
  greet();
  const std::string proc = "/proc/" + std::to_string(child_.pid());
  const auto status = sys::read_file(proc + "/status", 64 * 1024);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("Seccomp:\t2"), std::string::npos);
  EXPECT_NE(status->find("NoNewPrivs:\t1"), std::string::npos);
  EXPECT_NE(status->find("CapEff:\t0000000000000000"), std::string::npos);
  const auto environ = sys::read_file(proc + "/environ", 4096);
  EXPECT_TRUE(!environ || environ->empty());
  EXPECT_FALSE(sys::open(proc + "/root/usr", O_PATH)) << "it has no files";
}

}  // namespace
}  // namespace bulkhead::trace
