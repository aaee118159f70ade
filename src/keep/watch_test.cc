#include "keep/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

using std::chrono::milliseconds;

class WatchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/watch-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    std::filesystem::create_directories(top_ + "/d");
    folder_.emplace(Tree(std::move(*sys::open(top_, O_PATH))), nullptr, Protection(), nullptr, ::getgid());
    watch_.emplace(
        *folder_, names_, [this] { ++exhausted_; },
        [this](int events, std::uint32_t what) {
          if (watches_left_.fetch_sub(1) > 0) return ::inotify_add_watch(events, ".", what);
          errno = ENOSPC;
          return -1;
        });
    watch_->begin({.name =
                       [this](Names::Id parent, const std::string& name) {
                         std::unique_lock held(mutex_);
                         news_.wait(held, [this] { return !deaf_; });
                         heard_.insert("name " + std::to_string(parent) + " " + name);
                         news_.notify_all();
                       },
                   .file =
                       [this](Names::Id id, bool content) {
                         std::unique_lock held(mutex_);
                         news_.wait(held, [this] { return !deaf_; });
                         const std::string what = (content ? "content " : "file ") + std::to_string(id);
                         heard_.insert(what);
                         last_[what] = std::chrono::steady_clock::now();
                         news_.notify_all();
                         return known_;
                       }});
    runs_ = std::thread([this] { watch_->run(); });
    if (!watch_->look_at(Names::root)) GTEST_SKIP() << "no inotify on this file system";
  }
  void TearDown() override {
    deaf(false);
    watch_->stop();
    runs_.join();
    std::filesystem::remove_all(top_);
  }

  void write(const std::string& name, const std::string& text) {
    const UniqueFd file = std::move(*sys::open(top_ + "/" + name, O_WRONLY | O_CREAT, 0644));
    ASSERT_TRUE(sys::write_all(file.get(), text, name));
  }
  Names::Id told(Names::Id parent, const std::string& name, const std::string& path) {
    bool replaced = false;
    return names_.found(parent, name, *folder_->look({.path = path}), replaced);
  }
  bool hears(const std::string& what) {
    std::unique_lock held(mutex_);
    return news_.wait_for(held, milliseconds(2000), [&] { return heard_.contains(what); });
  }
  // Whoever is told does not come back: what happens meanwhile waits in the kernel's queue.
  void deaf(bool on) {
    const std::scoped_lock held(mutex_);
    deaf_ = on;
    news_.notify_all();
  }
  bool quiet() {
    std::this_thread::sleep_for(milliseconds(100));
    const std::scoped_lock held(mutex_);
    return heard_.empty();
  }

  std::string top_;
  Names names_;
  std::optional<LiveFolder> folder_;
  std::optional<Watch> watch_;
  std::thread runs_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::set<std::string> heard_;
  std::map<std::string, std::chrono::steady_clock::time_point> last_;  // told of a file
  bool deaf_ = false, known_ = true;
  std::atomic<int> watches_left_ = 1'000'000, exhausted_ = 0;
};

TEST_F(WatchTest, TheHostsChangesAreHeardOf) {
  write("a", "one");
  EXPECT_TRUE(hears("content 1")) << "a new name in the listing";
  const auto a = told(Names::root, "a", "a");
  write("a", "another");
  EXPECT_TRUE(hears("content " + std::to_string(a)));
  ASSERT_EQ(::rename((top_ + "/a").c_str(), (top_ + "/b").c_str()), 0);
  EXPECT_TRUE(hears("name 1 a"));
  EXPECT_TRUE(names_.absent(Names::root, "later"));
  write("later", "x");
  EXPECT_TRUE(hears("name 1 later"));
}

// An answer that is on its way has as long as after the first time.
TEST_F(WatchTest, WhatIsHeardOfTwiceIsSaidAgainAfterTheSecondTime) {
  write("a", "one");
  ASSERT_TRUE(hears("content 1"));
  std::this_thread::sleep_for(milliseconds(150));
  const auto second = std::chrono::steady_clock::now();
  write("b", "one");
  std::unique_lock held(mutex_);
  EXPECT_TRUE(
      news_.wait_for(held, std::chrono::seconds(5), [&] { return last_["content 1"] >= second + milliseconds(300); }));
}

TEST_F(WatchTest, WhatTheWorkloadDidTheKernelKnows) {
  names_.doing(Names::root, "own");
  auto file = folder_->create("own", O_WRONLY | O_EXCL, 0644);
  ASSERT_TRUE(file);
  const auto own = told(Names::root, "own", "own");
  names_.asks_again(own);
  ASSERT_TRUE(folder_->write(**file, "text", 4, 0));
  EXPECT_TRUE(quiet());
  (void)names_.told(own, *folder_->look({.path = "own"}));
  EXPECT_TRUE(quiet());
  write("own", "the host's");
  EXPECT_TRUE(hears("content " + std::to_string(own)));
}

// More happens than the kernel keeps (fs.inotify.max_queued_events): what is lost may be about anything, so nothing
// that was believed is.
TEST_F(WatchTest, WhenEventsAreLostEverythingIsDoubted) {
  write("a", "one");
  write("d/b", "one");
  write("d/other", "one");
  const auto d = told(Names::root, "d", "d");
  const auto a = told(Names::root, "a", "a"), b = told(d, "b", "d/b");
  ASSERT_TRUE(watch_->look_at(d));
  const auto most = sys::read_file("/proc/sys/fs/inotify/max_queued_events", 64);
  ASSERT_TRUE(most);
  deaf(true);
  write("wakes", "x");
  std::this_thread::sleep_for(milliseconds(100));
  // Each another name: what is said twice in a row counts once.
  const std::string names[] = {top_ + "/d/b", top_ + "/d/other"};
  for (int i = 0; i < std::stoi(*most) + 2000; ++i) ASSERT_EQ(::chmod(names[i % 2].c_str(), 0644), 0);
  ASSERT_EQ(::rename((top_ + "/d/b").c_str(), (top_ + "/d/c").c_str()), 0);  // nobody hears of it
  {
    const std::scoped_lock held(mutex_);
    heard_.clear();
  }
  deaf(false);
  for (const std::string& what : {"name " + std::to_string(d) + " b", std::string("name 1 a"), std::string("name 1 d"),
                                  "content " + std::to_string(a), "content " + std::to_string(b)}) {
    EXPECT_TRUE(hears(what)) << what;
  }
}

// Out of watches: said once, and whoever asks is told not to believe for long (filesystem.cc).
TEST_F(WatchTest, WithoutWatchesNothingIsBelievedForLong) {
  write("d/b", "one");
  const auto d = told(Names::root, "d", "d");
  const auto b = told(d, "b", "d/b");
  watches_left_ = 0;
  EXPECT_FALSE(watch_->look_at(d));
  EXPECT_FALSE(names_.watched(d));
  EXPECT_FALSE(names_.parent_watched(b));
  EXPECT_FALSE(watch_->look_at(d));
  EXPECT_EQ(exhausted_, 1) << "once is enough";
  EXPECT_TRUE(watch_->look_at(Names::root)) << "what is watched stays so";
  write("d/b", "another");
  EXPECT_TRUE(quiet()) << "nobody tells: that is why";
  watches_left_ = 1;
  EXPECT_TRUE(watch_->look_at(d)) << "somebody else has left some";
  write("d/b", "a third");
  EXPECT_TRUE(hears("content " + std::to_string(b)));
}

// What filesystem.cc does, by several threads at once, and a host that meddles.
TEST_F(WatchTest, ManyAtOnce) {
  std::atomic<bool> over = false;
  std::vector<std::thread> all;
  const auto d = told(Names::root, "d", "d");
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&, i] {
      const std::string name = "f" + std::to_string(i % 2), other = "g" + std::to_string(i);
      while (!over) {
        (void)watch_->look_at(d);
        {
          const std::shared_lock held(names_.still());
          const auto path = names_.path(d);
          names_.doing(d, name);
          auto file = folder_->create(*path + "/" + name, O_WRONLY, 0644);
          if (!file) names_.not_done(d, name);
          if (const auto st = folder_->look({.path = *path + "/" + name})) {
            bool replaced = false;
            const auto id = names_.found(d, name, *st, replaced);
            names_.asks_again(id);
            if (file) names_.opened(id, std::make_shared<OpenFile>());
            watch_->doubt(id);
            (void)names_.parent_watched(id);
            names_.forget(id, 1);
          }
        }
        const std::unique_lock held(names_.still());
        names_.doing(d, name);
        names_.doing(d, other);
        if (folder_->rename("d/" + name, "d/" + other, 0)) {
          names_.renamed(d, name, d, other, false);
        }
        if (folder_->remove("d/" + other)) names_.removed(d, other);
        (void)names_.absent(d, other);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    write("d/f0", "host");
    ::unlink((top_ + "/d/f1").c_str());
    std::this_thread::sleep_for(milliseconds(1));
  }
  over = true;
  for (std::thread& one : all) one.join();
}

}  // namespace
}  // namespace bulkhead::keep
