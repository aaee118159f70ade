#include "evidence/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {
namespace {

using json = nlohmann::ordered_json;

std::string text(std::size_t size, char of) {
  return "\"text\":\"" + std::string(size, of) + "\"";
}

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-log-test.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/log";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }
  UniqueFd file(int flags = O_WRONLY | O_APPEND | O_CREAT) { return std::move(*sys::open(path_, flags, 0600)); }
  Log log() {
    auto opened = Log::open(file(), "abc");
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::vector<json> lines() {
    const std::string text = *sys::read_file(path_, 64 << 20);
    EXPECT_TRUE(text.empty() || text.back() == '\n') << "a torn last line";
    std::vector<json> out;
    for (const std::string& line : split(text, '\n')) {
      if (!line.empty()) out.push_back(json::parse(line));
    }
    return out;
  }
  std::string directory_, path_;
};

TEST_F(LogTest, NumbersLinesAndPutsTheHeadFirst) {
  Log l = log();
  EXPECT_EQ(*l.append("front", "http.request", R"("a":1)"), 1u);
  EXPECT_EQ(*l.append("supervisor", "session.end", ""), 2u);
  EXPECT_TRUE(lines().empty()) << "written in one go";
  ASSERT_TRUE(l.flush());
  const auto got = lines();
  ASSERT_EQ(got.size(), 2u);
  std::vector<std::string> keys;
  for (const auto& item : got[0].items()) keys.push_back(item.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"v", "seq", "time", "session", "source", "type", "a"}));
  EXPECT_EQ(got[0]["seq"], 1);
  EXPECT_EQ(got[0]["session"], "abc");
  EXPECT_EQ(got[0]["source"], "front");
  EXPECT_EQ(got[1]["type"], "session.end");
}

TEST_F(LogTest, TimestampIsUtcWithMicroseconds) {
  Timestamp clock;
  const std::string t = clock.now();
  ASSERT_EQ(t.size(), 27u) << t;
  EXPECT_EQ(t[10], 'T');
  EXPECT_EQ(t[19], '.');
  EXPECT_EQ(t.back(), 'Z');
  const std::time_t before = std::time(nullptr);
  const std::string later = clock.now();
  EXPECT_GE(later, t);
  char second[32];
  tm utc{};
  // Unless it turned meanwhile.
  (void)std::strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", ::gmtime_r(&before, &utc));
  if (std::time(nullptr) == before) EXPECT_EQ(later.substr(0, 19), second);
}

TEST_F(LogTest, RefusesAFileThatIsNotFresh) {
  ASSERT_TRUE(sys::write_all(file().get(), "{}", "log"));
  EXPECT_FALSE(Log::open(file(), "abc"));
}

TEST_F(LogTest, RefusesAFileThatCouldBeOverwritten) {
  const auto opened = Log::open(file(O_WRONLY | O_CREAT), "abc");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("append"), std::string::npos);
  auto pipe = sys::pipe();
  EXPECT_FALSE(Log::open(std::move(pipe->second), "abc"));
}

TEST_F(LogTest, RefusesASecondWriter) {
  Log first = log();
  const auto second = Log::open(file(), "abc");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another writer"), std::string::npos);
}

TEST_F(LogTest, KeepsAReserveAndGivesItBack) {
  Log l = log();
  ASSERT_TRUE(l.has_reserve());
  ASSERT_TRUE(l.append("front", "x", text(1000, 'x')));
  ASSERT_TRUE(l.flush());
  const auto watch = sys::open(path_, O_RDONLY);
  const auto before = *sys::stat_fd(watch->get(), path_);
  EXPECT_GE(static_cast<std::uint64_t>(before.st_blocks) * 512, static_cast<std::uint64_t>(before.st_size) + reserve);
  ASSERT_TRUE(l.close());
  const auto after = *sys::stat_fd(watch->get(), path_);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_LT(static_cast<std::uint64_t>(after.st_blocks) * 512, reserve);
}

TEST_F(LogTest, TooLongALineIsRefusedAndLeavesTheLogUsable) {
  Log l = log();
  const auto refused = l.append("front", "x", text(max_line, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EMSGSIZE);
  EXPECT_FALSE(l.full());
  EXPECT_EQ(*l.append("front", "x", ""), 1u);
}

// Runs `work` in a child of its own; its exit status must be 0. Exit 99: the machine can't do it.
int in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A small file system over `directory`, in namespaces of the calling process's own.
bool own_disk(const std::string& directory, const char* size) {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && sys::write_id_maps(0, 0, uid, 0, gid) &&
         ::mount("none", directory.c_str(), "tmpfs", 0, size) == 0;
}

TEST_F(LogTest, AFullDiskLeavesWholeLinesAndRoomForTheEnd) {
  const int status = in_child([this] {
    if (!own_disk(directory_, "size=128k")) return 99;
    auto l = Log::open(file(), "abc");
    if (!l) return 1;
    int written = 0;
    Result<std::uint64_t> last = std::uint64_t{0};
    for (; written < 1000; ++written) {
      last = l->append("front", "x", text(2000, 'x'));
      if (!last) break;
    }
    if (written < 10 || written >= 1000 || !l->full()) return 2;
    if (last.error().code != ENOSPC) return 3;
    if (l->append("front", "x", "")) return 4;  // nothing ordinary any more
    // 20 KB of ends fit: that is what the reserve is for.
    for (int i = 0; i < 10; ++i) {
      if (!l->append("supervisor", "session.end", text(2000, 'e'), true)) return 5;
    }
    if (!l->close()) return 6;
    const auto got = lines();
    if (got.size() != static_cast<std::size_t>(written) + 11) return 7;
    if (got[static_cast<std::size_t>(written)]["type"] != "evidence.full") return 8;
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i]["seq"] != i + 1) return 9;
    }
    return 0;
  });
  if (status == 99) GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(status, 0);
}

TEST_F(LogTest, AWriteThatFailsLeavesNoHalfLine) {
  const int status = in_child([this] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{reserve + 4096, reserve + 4096};
    auto l = Log::open(file(), "abc");
    if (!l) return 1;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    // Also where the disk said before that there was room. Several lines at a time: those that fit stay.
    std::uint64_t added = 0;
    for (bool fits = true; fits;) {
      for (int i = 0; i < 10; ++i, ++added) {
        if (!l->append("supervisor", "x", text(1000, 'x'))) return 2;
      }
      fits = l->flush().has_value();
    }
    if (!l->full() || l->append("supervisor", "x", "")) return 3;
    const auto got = lines();
    if (got.size() != l->lines() || got.size() < 50 || got.back()["seq"] != got.size()) return 4;
    // One of them may be evidence.full, if there was room for that.
    const std::uint64_t mine = got.size() - (got.back()["type"] == "evidence.full" ? 1 : 0);
    return l->lost() >= added - mine && mine % 10 != 0 ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(LogTest, NoRoomAtAllIsAnErrorAtTheStart) {
  const int status = in_child([this] {
    if (!own_disk(directory_, "size=32k")) return 99;
    const auto opened = Log::open(file(), "abc");
    return !opened && opened.error().code == ENOSPC ? 0 : 1;
  });
  if (status == 99) GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bulkhead::evidence
