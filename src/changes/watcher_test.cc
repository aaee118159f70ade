// What the program's own test can't time: what happens between two of its steps.
#include "changes/watcher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sys.h"

namespace bulkhead::changes {
namespace {

namespace fs = std::filesystem;

class WatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "watcher-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
    before_ = fs::current_path();
  }
  void TearDown() override {
    fs::current_path(before_);  // a watcher goes into the folders it looks into
    fs::remove_all(top_);
  }

  Watcher watch(std::size_t at_most) {
    std::vector<Mount> mounts;
    mounts.push_back({"/0", std::move(*sys::open(top_, O_PATH | O_DIRECTORY))});
    return Watcher(mounts, at_most, gather_, [this](std::string_view reason) { unseen_.emplace_back(reason); });
  }

  // "create d/file" and the like, of what was heard by now.
  std::vector<std::string> recorded() {
    events_.clear();
    EXPECT_TRUE(gather_.flush(Gather::Clock::now()));
    return events_;
  }

  static std::size_t watches(const Watcher& watcher) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(watcher.events()));
    std::size_t count = 0;
    for (std::string line; std::getline(info, line);) count += line.starts_with("inotify wd:") ? 1U : 0U;
    return count;
  }

  fs::path top_, before_;
  std::vector<std::string> events_, unseen_;
  Gather gather_{{"/0"},
                 [this](const evidence::Event& event) -> Result<void> {
                   const auto json = nlohmann::json::parse("{" + std::string(event.fields()) + "}");
                   std::string what;
                   for (const auto& how : json.value("how", nlohmann::json::array()))
                     what += how.get<std::string>() + " ";
                   events_.push_back(what + json.value("path", ""));
                   return {};
                 },
                 {},
                 Gather::Clock::now()};
};

TEST_F(WatcherTest, AFolderThatMovedBeforeItsTurnIsFoundWhereItIs) {
  fs::create_directories(top_ / "d/sub");
  Watcher watcher = watch(100);
  watcher.look();  // the top: d is next
  watcher.look();  // d: its sub is
  fs::rename(top_ / "d", top_ / "e");
  watcher.look();
  EXPECT_TRUE(watcher.busy()) << "sub was not found, and is not forgotten";
  watcher.hear();
  while (watcher.busy()) {
    watcher.look();
    watcher.hear();
  }
  EXPECT_EQ(watches(watcher), 3U);
  std::ofstream(top_ / "e/sub/file").put('x');
  watcher.hear();
  const auto events = recorded();
  EXPECT_NE(std::ranges::find(events, "create write e/sub/file"), events.end()) << testing::PrintToString(events);
  EXPECT_EQ(unseen_, std::vector<std::string>());
}

TEST_F(WatcherTest, WhatIsNowhereIsNotLookedForForEver) {
  fs::create_directories(top_ / "d/sub");
  Watcher watcher = watch(100);
  watcher.look();
  watcher.look();
  fs::remove(top_ / "d/sub");
  for (int i = 0; i < 20 && watcher.busy(); ++i) {
    watcher.look();
    watcher.hear();
  }
  EXPECT_FALSE(watcher.busy());
}

TEST_F(WatcherTest, NoMoreFoldersAreWatchedThanItMay) {
  for (int i = 0; i < 10; ++i) fs::create_directories(top_ / ("d" + std::to_string(i)) / "sub");
  Watcher watcher = watch(4);
  while (watcher.busy()) watcher.look();
  EXPECT_EQ(watches(watcher), 4U);
  for (int i = 0; i < 10; ++i) {
    fs::create_directories(top_ / ("n" + std::to_string(i)));
    watcher.hear();
    while (watcher.busy()) watcher.look();
  }
  EXPECT_EQ(watches(watcher), 4U);
  EXPECT_EQ(unseen_, std::vector<std::string>({std::string(Watcher::no_watches)}));
}

}  // namespace
}  // namespace bulkhead::changes
