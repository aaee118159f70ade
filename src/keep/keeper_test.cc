#include "keep/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

class KeeperTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/keeper-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    std::filesystem::create_directories(top_ + "/tree/d");
    std::filesystem::create_directories(top_ + "/kept");
    tree_.emplace(std::move(*sys::open(top_ + "/tree", O_PATH)));
  }
  void TearDown() override { std::filesystem::remove_all(top_); }

  void begin(std::uint64_t quota) {
    keeper_.emplace(std::move(*Mirror::open(std::move(*sys::open(top_ + "/kept", O_RDONLY)))), quota,
                    [this] { ++refused_; });
  }
  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(sys::write_file_atomically(top_ + "/tree/" + path, text, 0644));
  }
  std::string kept(const std::string& path) {
    auto text = sys::read_file(top_ + "/kept/" + path, 1 << 20);
    return text ? *text : "absent";
  }
  Place at(const std::string& path) { return std::move(*tree_->find(path)); }

  std::string top_;
  std::optional<Tree> tree_;
  std::optional<Keeper> keeper_;
  int refused_ = 0;
};

TEST_F(KeeperTest, WhatDoesNotFitIsRefusedAndSaidOnce) {
  begin(5000);
  write("a", std::string(4000, 'a'));
  write("b", std::string(4000, 'b'));
  EXPECT_TRUE(keeper_->change(at("a"), "a"));
  EXPECT_TRUE(keeper_->change(at("a"), "a"));  // once is enough
  for (int i = 0; i < 3; ++i) {
    const auto changed = keeper_->change(at("b"), "b");
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, EDQUOT);
  }
  EXPECT_EQ(refused_, 1);
  const auto removed = keeper_->remove(at("b"), "b");  // takes no room
  ASSERT_TRUE(removed);
  EXPECT_TRUE(*removed);
  EXPECT_EQ(kept("files/b"), std::string(4000, 'b'));
}

TEST_F(KeeperTest, AMovedOriginalIsItselfUntilItChanges) {
  begin(1 << 20);
  write("d/a", "original");
  ASSERT_TRUE(keeper_->move(at("d"), "d"));
  std::filesystem::rename(top_ + "/tree/d", top_ + "/tree/e");
  ASSERT_TRUE(keeper_->change(at("e/a"), "e/a"));
  const UniqueFd file = std::move(*sys::open(top_ + "/tree/e/a", O_WRONLY));
  ASSERT_TRUE(sys::write_all(file.get(), "changed!", "a"));
  EXPECT_EQ(kept("files/d/a"), "original");
  EXPECT_EQ(kept("files/e/a"), "absent");
}

TEST_F(KeeperTest, WhatTheHostPutsThereIsKeptBesideTheOriginal) {
  begin(1 << 20);
  for (const char* text : {"one", "two", "three"}) {
    write("a", text);
    ASSERT_TRUE(*keeper_->remove(at("a"), "a"));
  }
  EXPECT_EQ(kept("files/a"), "one");
  EXPECT_EQ(kept("again-1/a"), "two");
  EXPECT_EQ(kept("again-2/a"), "three");
}

TEST_F(KeeperTest, TheWorkloadsOwnIsNotKept) {
  begin(0);
  write("a", "own");
  keeper_->made(*look(at("a")));
  EXPECT_TRUE(keeper_->change(at("a"), "a"));
  EXPECT_FALSE(*keeper_->remove(at("a"), "a"));
  keeper_->ended(*look(at("a")));
  EXPECT_FALSE(keeper_->free(*look(at("a"))));
}

TEST_F(KeeperTest, NoPathLeadsOut) {
  begin(1 << 20);
  write("f", "x");
  ASSERT_EQ(::symlink("../kept", (top_ + "/tree/l").c_str()), 0);
  for (const char* path : {"..", "../kept/files", "l/files", "d/../..", "d/../../kept", "/../x", "f/x", "d/.."}) {
    EXPECT_FALSE(tree_->find(path)) << path;
  }
  EXPECT_TRUE(tree_->find("/"));
}

}  // namespace
}  // namespace bulkhead::keep
