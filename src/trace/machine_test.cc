// The real bulkhead-trace, confined, told by a machine; and what of a machine's words is taken at all.
#include "trace/machine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::trace {
namespace {

namespace record = shim::record;
using record::Who;

constexpr timeval patience{10, 0};

void limit(int fd) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::string said(const record::Happened& what, std::uint32_t unsent = 0) {
  return record::encode({unsent, what});
}

class MachineTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
    ::signal(SIGPIPE, SIG_IGN);
    const auto program = sys::open(BULKHEAD_TRACE, O_PATH);
    auto control = sys::socket_pair(SOCK_SEQPACKET), evidence = sys::socket_pair(SOCK_SEQPACKET);
    auto tier = sys::socket_pair(SOCK_SEQPACKET), stream = sys::socket_pair(SOCK_STREAM);
    auto messages = sys::pipe();
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-trace"};
    options.fds = {-1, -1, messages->second.get(), control->second.get(), evidence->second.get(), tier->second.get()};
    child_ = std::move(*spawn(options));
    messages_ = std::move(messages->first);
    control_ = std::move(control->first);
    evidence_ = std::move(evidence->first);
    machine_ = std::move(stream->first);
    for (const UniqueFd* fd : {&control_, &evidence_, &machine_}) limit(fd->get());
    const int far = stream->second.get();
    ASSERT_TRUE(ipc::send(tier->first.get(), std::string_view("m"), std::span(&far, 1)));
  }

  void greet() {
    send(said(record::Hello{record::version}));
    const auto ready = ipc::receive(control_.get());
    ASSERT_TRUE(ready) << ready.error().message;
    ASSERT_EQ(ready->text, R"({"type":"ready"})");
  }
  void send(std::string_view bytes) const {
    ASSERT_EQ(::send(machine_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  nlohmann::json event() const {
    const auto heard = ipc::receive(evidence_.get());
    return heard && !heard->closed ? nlohmann::json::parse(heard->text) : nlohmann::json{{"type", "none"}};
  }
  std::string failure() {
    EXPECT_EQ(child_.wait()->shell(), 125);
    return *sys::read_all(messages_.get(), 4096, "stderr");
  }

  UniqueFd control_, evidence_, machine_, messages_;
  Child child_;
};

TEST_F(MachineTest, RecordsWithLineage) {
  greet();
  std::string bytes = said(record::Executed{Who{1, 1}, "/bin/sh", {"sh"}, false});
  bytes += said(record::Forked{Who{1, 1}, 2});
  bytes += said(record::Executed{Who{2, 2}, "/usr/bin/tool", {"tool", "x\xff\x1b[c"}, true});
  bytes += said(record::Opening{Who{2, 2}, "/work/out", O_WRONLY | O_CREAT | O_TRUNC, false});
  bytes += said(record::Opening{Who{2, 2}, "/etc/passwd", O_RDONLY, false});
  bytes += said(record::Runs{Who{2, 2}});
  bytes += said(record::Ended{2, 9});
  for (const char byte : bytes) send(std::string_view(&byte, 1));  // in whatever pieces
  EXPECT_EQ(event(), (nlohmann::json{{"type", "process.exec"},
                                     {"pid", 1},
                                     {"name", "sh"},
                                     {"thread", 1},
                                     {"path", "/bin/sh"},
                                     {"arguments", {"sh"}},
                                     {"seen_by", "machine"}}));
  EXPECT_EQ(
      event(),
      (nlohmann::json{{"type", "process.start"}, {"pid", 2}, {"parent", 1}, {"name", "sh"}, {"seen_by", "machine"}}));
  auto one = event();
  EXPECT_EQ(one["arguments"], (nlohmann::json{"tool", "x\xEF\xBF\xBD\x1b[c"}));
  EXPECT_EQ(one["parent"], 1);
  EXPECT_EQ(one["cut"], true);
  one = event();
  EXPECT_EQ(one["type"], "file.open");
  EXPECT_EQ(one["how"], (nlohmann::json{"write", "create", "truncate"}));
  EXPECT_EQ(one["asked"], true);
  EXPECT_EQ(one["name"], "tool");
  one = event();
  EXPECT_EQ(one["untold"], true) << "what is only read is not recorded, and a program that was not told is";
  one = event();
  EXPECT_EQ(one["signal"], 9);
}

TEST_F(MachineTest, ConnectionsAndWhatIsMissing) {
  greet();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(81);
  to.sin_addr.s_addr = htonl(0x0a010203);
  send(said(record::Connecting{Who{5, 6}, std::string(reinterpret_cast<const char*>(&to), sizeof to)}, 3));
  auto one = event();
  EXPECT_EQ(one["address"], "10.1.2.3");
  EXPECT_EQ(one["port"], 81);
  EXPECT_EQ(one["asked"], true);
  one = event();
  EXPECT_EQ(one["type"], "process.omitted");
  EXPECT_EQ(one["unsent"], 3);
  EXPECT_EQ(one["seen_by"], "machine");
}

TEST_F(MachineTest, SilenceBeforeItsGreetingIsNoReadiness) {
  send(said(record::Runs{Who{1, 1}}));
  EXPECT_NE(failure().find("makes no sense"), std::string::npos);
}

TEST_F(MachineTest, NonsenseEndsIt) {
  greet();
  send("nonsense");
  EXPECT_NE(failure().find("makes no sense"), std::string::npos);
}

TEST_F(MachineTest, ASecondGreetingEndsIt) {
  greet();
  send(said(record::Hello{record::version}));
  EXPECT_NE(failure().find("greeting"), std::string::npos);
}

TEST_F(MachineTest, HangingUpEndsIt) {
  greet();
  machine_.reset();
  EXPECT_NE(failure().find("the virtual machine tells no more"), std::string::npos);
}

TEST_F(MachineTest, WhatWasSaidByTheEndIsRecorded) {
  greet();
  std::string bytes;
  for (int i = 0; i < 8000; ++i) bytes += said(record::Forked{Who{1, 1}, 2});
  send(bytes);
  ::shutdown(control_.get(), SHUT_WR);
  int heard = 0;
  while (event()["type"] == "process.start") ++heard;
  EXPECT_EQ(heard, 8000);
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(MachineTest, ItsEndIsAnsweredOnce) {
  greet();
  send(said(record::Runs{Who{1, 1}}) + said(record::Done{}, 2));
  char answer = 0;
  ASSERT_EQ(::recv(machine_.get(), &answer, 1, 0), 1);
  EXPECT_EQ(answer, record::heard);
  EXPECT_EQ(event()["type"], "process.exec") << "it was recorded before that was said";
  ::shutdown(control_.get(), SHUT_WR);
  const auto last = event();
  EXPECT_EQ(last["type"], "process.omitted");
  EXPECT_EQ(last["unsent"], 2);
  EXPECT_FALSE(last.contains("unheard"));
  EXPECT_EQ(child_.wait()->shell(), 0);
}

// What is read at once is more than what is taken at once.
TEST_F(MachineTest, ItsEndIsHeardBehindManyOthers) {
  constexpr int many = 5000;
  greet();
  std::string bytes;
  for (int i = 0; i < many; ++i) bytes += said(record::Forked{Who{1, 1}, 2});
  ASSERT_TRUE(child_.signal(SIGSTOP));
  send(bytes + said(record::Done{}));
  ASSERT_TRUE(child_.signal(SIGCONT));
  for (int i = 0; i < many; ++i) ASSERT_EQ(event()["type"], "process.start");
  char answer = 0;
  EXPECT_EQ(::recv(machine_.get(), &answer, 1, 0), 1);
  ::shutdown(control_.get(), SHUT_WR);
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST_F(MachineTest, WhatIsSaidAfterItsEndMakesNoSense) {
  greet();
  send(said(record::Done{}) + said(record::Runs{Who{1, 1}}));
  EXPECT_NE(failure().find("more after its end"), std::string::npos);
}

TEST_F(MachineTest, AnEndThatWasNotHeardIsRecorded) {
  greet();
  ::shutdown(control_.get(), SHUT_WR);
  const auto last = event();
  EXPECT_EQ(last["type"], "process.omitted");
  EXPECT_EQ(last["unheard"], true);
  EXPECT_EQ(child_.wait()->shell(), 0);
}

TEST(Machine, NumbersThatNoKernelSays) {
  for (const record::Happened& what : {record::Happened(record::Forked{Who{0, 1}, 2}),
                                       {record::Forked{Who{1, 1}, 0}},
                                       {record::Runs{Who{1, 5'000'000}}},
                                       {record::Ended{1, 0x10000}},
                                       {record::Ended{0xffffffff, 0}},
                                       {record::Hello{1}},
                                       {record::Done{}}}) {
    EXPECT_FALSE(told_by_machine({0, what}));
  }
  const auto told = told_by_machine({0, record::Connecting{Who{1, 1}, "x"}});
  ASSERT_TRUE(told);
  EXPECT_FALSE(told->what) << "an address of nothing";
}

}  // namespace
}  // namespace bulkhead::trace
