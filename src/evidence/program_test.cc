// The real bulkhead-evidence, confined, over its real protocol.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "evidence/evidence.h"

#ifndef __has_feature  // GCC
#define __has_feature(name) 0
#endif

namespace bulkhead::evidence {
namespace {

class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own system calls are not in the allow-lists";
#endif
    char name[] = "/tmp/bulkhead-evidence-test.XXXXXX";
    ::close(::mkstemp(name));
    path_ = name;
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  void start() {
    auto control = sys::socket_pair(SOCK_SEQPACKET), source = sys::socket_pair(SOCK_SEQPACKET);
    const auto program = sys::open(BULKHEAD_EVIDENCE_PROGRAM, O_PATH);
    ASSERT_TRUE(program) << program.error().message;
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-evidence"};
    options.fds = {-1, 2, 2, control->second.get()};
    auto child = spawn(options);
    ASSERT_TRUE(child) << child.error().message;
    child_ = std::move(*child);
    control_ = std::move(control->first);
    const auto log = sys::open(path_, O_WRONLY | O_APPEND);
    const int fds[] = {log->get(), source->second.get()};
    ASSERT_TRUE(ipc::send(control_.get(),
                          nlohmann::json{{"type", "start"}, {"session", "s1"}, {"sources", {"supervisor"}}}, fds));
    recorder_.emplace(std::move(source->first));
  }
  std::string next() { return ipc::receive(control_.get())->text; }

  std::string path_;
  Child child_;
  UniqueFd control_;
  std::optional<Recorder> recorder_;
};

TEST_F(ProgramTest, RecordsConfinedAndStops) {
  start();
  EXPECT_EQ(next(), R"({"type":"ready"})");
  ASSERT_TRUE(recorder_->record_and_sync("session.start", {{"tier", "native"}}));
  ASSERT_TRUE(recorder_->record("session.end", {}));
  ASSERT_TRUE(ipc::send(control_.get(), nlohmann::json{{"type", "stop"}}));
  EXPECT_EQ(next(), R"({"lines":2,"refused":0,"type":"stopped"})");
  EXPECT_EQ(child_.wait()->shell(), 0);
  const std::string text = *sys::read_file(path_, 1 << 20);
  EXPECT_NE(text.find(R"("type":"session.end"})"), std::string::npos) << text;
}

TEST_F(ProgramTest, RecordsAnAbandonedSession) {
  start();
  EXPECT_EQ(next(), R"({"type":"ready"})");
  control_.reset();
  EXPECT_EQ(child_.wait()->shell(), 0);
  EXPECT_NE(sys::read_file(path_, 1 << 20)->find("session.lost"), std::string::npos);
}

TEST_F(ProgramTest, WritesToNoFileThatHasARecordAlready) {
  ASSERT_TRUE(sys::write_all(sys::open(path_, O_WRONLY | O_APPEND)->get(), "{}\n", path_));
  start();
  EXPECT_EQ(child_.wait()->shell(), 125);
  EXPECT_EQ(*sys::read_file(path_, 100), "{}\n");
}

}  // namespace
}  // namespace bulkhead::evidence
