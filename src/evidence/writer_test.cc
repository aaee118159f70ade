#include "evidence/writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "evidence/evidence.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {
namespace {

using json = nlohmann::ordered_json;

// From now on fdatasync(2) fails with EIO in this process.
void break_fdatasync() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, code};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// A writer in a process of its own, with the sources "supervisor" and "front".
class WriterTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-writer-test.XXXXXX";
    const int fd = ::mkstemp(name);
    ::close(fd);
    path_ = name;
  }
  void TearDown() override {
    if (pid_ > 0) stop();
    ::unlink(path_.c_str());
  }

  void start(const std::function<void()>& before = [] {}) {
    auto control = sys::socket_pair(SOCK_SEQPACKET), a = sys::socket_pair(SOCK_SEQPACKET),
         b = sys::socket_pair(SOCK_SEQPACKET);
    pid_ = ::fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      control->first.reset();
      a->first.reset();
      b->first.reset();
      before();
      auto log = Log::open(std::move(*sys::open(path_, O_WRONLY | O_APPEND)), "s1");
      if (!log) ::_exit(77);
      std::vector<UniqueFd> sockets;
      sockets.push_back(std::move(a->second));
      sockets.push_back(std::move(b->second));
      Writer writer(std::move(control->second), std::move(*log), {"supervisor", "front"}, std::move(sockets));
      ::_exit(writer.run());
    }
    control_ = std::move(control->first);
    supervisor_.emplace(std::move(a->first));
    front_.emplace(std::move(b->first));
  }
  int wait_exit() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  json stop() {
    (void)ipc::send(control_.get(), nlohmann::json{{"type", "stop"}});
    const json answer = json::parse(ipc::receive(control_.get())->text);
    status_ = wait_exit();
    return answer;
  }
  std::vector<json> lines() {
    const std::string text = *sys::read_file(path_, 64 << 20);
    std::vector<json> out;
    for (const std::string& line : split(text, '\n')) {
      if (!line.empty()) out.push_back(json::parse(line));
    }
    return out;
  }
  void raw(const std::string& text) { ASSERT_TRUE(ipc::send(front_->socket(), std::string_view(text))); }

  std::string path_;
  pid_t pid_ = -1;
  int status_ = -1;
  UniqueFd control_;
  std::optional<Recorder> supervisor_, front_;
};

TEST_F(WriterTest, KeepsEachSourcesOrderAndNumbersAll) {
  start();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(front_->record("x", {{"i", i}}));
    ASSERT_TRUE(supervisor_->record("x", {{"i", i}}));
  }
  EXPECT_EQ(stop()["lines"], 600);
  EXPECT_EQ(status_, 0);
  std::map<std::string, int> next;
  std::uint64_t seq = 0;
  for (const json& line : lines()) {
    EXPECT_EQ(line["seq"], ++seq);
    EXPECT_EQ(line["i"], next[line["source"]]++);
  }
  EXPECT_EQ(next["front"], 300);
  EXPECT_EQ(next["supervisor"], 300);
}

TEST_F(WriterTest, ASyncedEventStandsInTheFileWhenTheCallReturns) {
  start();
  ASSERT_TRUE(supervisor_->record_and_sync("session.start", {{"tier", "native"}}));
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_EQ(lines()[0]["type"], "session.start");
}

TEST_F(WriterTest, SyncIsNotAnsweredWellWhenFdatasyncFails) {
  start(break_fdatasync);
  const auto answer = front_->record_and_sync("x", {});
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("fdatasync"), std::string::npos) << answer.error().message;
  const json told = json::parse(ipc::receive(control_.get())->text);
  EXPECT_EQ(told["type"], "full");
  EXPECT_FALSE(front_->record_and_sync("x", {})) << "nothing ordinary after that";
}

TEST_F(WriterTest, AnOrdinaryEventIsSyncedWithinTheInterval) {
  start(break_fdatasync);  // the failing sync makes itself heard on descriptor 3
  ASSERT_TRUE(front_->record("x", {}));
  pollfd p{control_.get(), POLLIN, 0};
  const auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(::poll(&p, 1, 2000), 1);
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_GE(took, commit_interval / 2) << "events are committed in groups";
}

TEST_F(WriterTest, ASourceIsItsSocketWhateverItSays) {
  start();
  raw(R"({"type":"session.end","source":"supervisor"})");
  raw(R"({"type":"session.end"})");
  stop();
  const auto got = lines();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0]["type"], "evidence.rejected");
  EXPECT_EQ(got[0]["from"], "front");
  EXPECT_EQ(got[1]["source"], "front");
}

TEST_F(WriterTest, RejectsWhatIsNoEventAndSaysSo) {
  start();
  std::vector<std::string> bad = {"[]",
                                  "x",
                                  "{}",
                                  R"({"type":7})",
                                  R"({"type":"Bad Type"})",
                                  R"({"type":"x","sync":1})",
                                  R"({"type":"x","a":)" + std::string(100, '[') + std::string(100, ']') + "}",
                                  R"({"type":"x","a":")" + std::string(max_line, 'a') + R"("})",
                                  R"({"type":"x","a":")" + std::string(max_line - 40, '\x01') + R"("})"};
  for (const char* key : {"v", "seq", "time", "session", "source"}) {
    bad.push_back(R"({"type":"x",")" + std::string(key) + R"(":1})");
  }
  for (const std::string& text : bad) raw(text);
  raw(R"({"type":"x","sync":true,"seq":9})");
  EXPECT_FALSE(front_->finish_sync());
  ASSERT_TRUE(front_->record_and_sync("fine", {}));
  stop();
  const auto got = lines();
  ASSERT_EQ(got.size(), bad.size() + 2);
  for (std::size_t i = 0; i + 1 < got.size(); ++i) EXPECT_EQ(got[i]["type"], "evidence.rejected") << bad[i];
  EXPECT_EQ(got.back()["type"], "fine");
}

TEST_F(WriterTest, InvalidUtf8BecomesTheReplacementCharacter) {
  start();
  raw("{\"type\":\"x\",\"name\":\"a\xff\xfe\"}");
  stop();
  const auto got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0]["name"], "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(WriterTest, ControlCharactersStayEscapedInTheirLine) {
  start();
  ASSERT_TRUE(front_->record("x", {{"name", "a\nb\x1b[2J"}}));
  stop();
  const auto got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0]["name"], "a\nb\x1b[2J");
}

TEST_F(WriterTest, DescriptorsFromASourceAreNotTaken) {
  start();
  const int fds[] = {0};
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(ipc::send(front_->socket(), std::string_view(R"({"type":"x"})"), fds));
  }
  ASSERT_TRUE(front_->record_and_sync("x", {}));
  int open = 0;
  for (int fd = 0; fd < 200; ++fd) {
    open += sys::exists("/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(fd));
  }
  EXPECT_LT(open, 30);
  EXPECT_EQ(stop()["lines"], 51);
}

TEST_F(WriterTest, AnAbandonedSessionIsRecordedAsLost) {
  start();
  ASSERT_TRUE(front_->record("x", {}));
  control_.reset();
  EXPECT_EQ(wait_exit(), 0);
  const auto got = lines();
  ASSERT_EQ(got.size(), 2u) << "what was queued comes first";
  EXPECT_EQ(got[1]["type"], "session.lost");
  EXPECT_EQ(got[1]["source"], "evidence");
}

TEST_F(WriterTest, AnEndedSessionIsNotLost) {
  start();
  ASSERT_TRUE(supervisor_->record("session.end", {}));
  control_.reset();
  EXPECT_EQ(wait_exit(), 0);
  ASSERT_EQ(lines().size(), 1u);
}

TEST_F(WriterTest, TheEndOfTheSessionIsTheLastLine) {
  start();
  ASSERT_EQ(::kill(pid_, SIGSTOP), 0);  // so that all of it waits when it looks
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(front_->record("x", {{"i", i}}));
  ASSERT_TRUE(supervisor_->record("session.end", {{"exit_status", 0}}));
  front_.reset();
  ASSERT_EQ(::kill(pid_, SIGCONT), 0);
  EXPECT_EQ(stop()["lines"], 101);
  EXPECT_EQ(lines().back()["type"], "session.end");
}

TEST_F(WriterTest, FrontCannotEndTheSessionInTheRecord) {
  start();
  ASSERT_TRUE(front_->record("session.end", {}));
  control_.reset();
  EXPECT_EQ(wait_exit(), 0);
  EXPECT_EQ(lines().back()["type"], "session.lost");
}

TEST_F(WriterTest, AFloodingSourceWaitsAndTheOtherIsHeard) {
  start();
  const int count = 3 * static_cast<int>(events_per_second);
  const pid_t flood = ::fork();
  if (flood == 0) {
    for (int i = 0; i < count; ++i) (void)front_->record("x", {{"i", i}});
    ::_exit(0);
  }
  const auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(supervisor_->record_and_sync("mine", {}));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
  int status = 0;
  ::waitpid(flood, &status, 0);
  // The bucket holds one second's worth; the rest came at its pace. Nothing was lost.
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(1500));
  EXPECT_EQ(stop()["lines"], count + 1);
}

// What is sent in a row is taken in a row: the writer sleeps in between and is woken by none of it.
TEST_F(WriterTest, ABusySourceDoesNotWakeItEachTime) {
  start();
  const auto sleeps = [&] {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; status >> word;) {
      if (word == "voluntary_ctxt_switches:" && status >> word) return std::stoi(word);
    }
    return 0;
  };
  const auto began = std::chrono::steady_clock::now();
  const int before = sleeps();
  int sent = 0;
  for (; sent < 20'000 && std::chrono::steady_clock::now() - began < std::chrono::milliseconds(400); ++sent) {
    ASSERT_TRUE(front_->record("x", {{"i", sent}}));
    while (std::chrono::steady_clock::now() - began < sent * std::chrono::microseconds(100)) {
    }
  }
  // Two sleeps each interval at most, whatever the pace: one for the time, one for what comes then.
  const auto most = (std::chrono::steady_clock::now() - began) / gather_interval * 2 + 20;
  EXPECT_LE(sleeps() - before, most) << sent << " events";
  // Nobody who waits for an answer waits for that.
  ASSERT_TRUE(supervisor_->record_and_sync("mine", {}));
  EXPECT_EQ(stop()["lines"], sent + 1);
}

TEST(Start, RefusesWhatDoesNotFit) {
  const auto with = [](const char* text, std::size_t fds) {
    ipc::Message message;
    message.text = text;
    for (std::size_t i = 0; i < fds; ++i) message.fds.push_back(std::move(*sys::duplicate(0)));
    return start_from(std::move(message));
  };
  EXPECT_TRUE(with(R"({"type":"start","session":"a","sources":["x"]})", 2));
  EXPECT_FALSE(with(R"({"type":"start","session":"a","sources":["x"]})", 1));
  EXPECT_FALSE(with(R"({"type":"start","session":"a","sources":["x"]})", 3));
  EXPECT_FALSE(with(R"({"type":"start","session":1,"sources":[]})", 1));
  EXPECT_FALSE(with(R"({"type":1,"session":"a","sources":[]})", 1));
  EXPECT_FALSE(with(R"({"type":"start","session":"a","sources":[1]})", 2));
  ipc::Message gone;
  gone.closed = true;
  EXPECT_FALSE(start_from(std::move(gone)));
}

}  // namespace
}  // namespace bulkhead::evidence
