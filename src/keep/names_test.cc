#include "keep/names.h"

#include <gtest/gtest.h>

#include "keep/folder.h"

namespace bulkhead::keep {
namespace {

struct stat file(ino_t inode, mode_t type = S_IFREG) {
  struct stat st{};
  st.st_ino = inode;
  st.st_mode = type | 0644;
  st.st_nlink = 1;
  return st;
}

class NamesTest : public testing::Test {
 protected:
  Names::Id found(Names::Id parent, std::string_view name, const struct stat& st) {
    return names_.found(parent, name, st, replaced_);
  }
  bool replaced_ = false;
  Names names_;
};

TEST_F(NamesTest, APathIsWhatItIsNow) {
  const auto d = found(Names::root, "d", file(2, S_IFDIR));
  const auto a = found(d, "a", file(3));
  EXPECT_EQ(names_.path(Names::root), "");
  EXPECT_EQ(names_.path(a), "d/a");
  names_.renamed(Names::root, "d", Names::root, "e", false);
  EXPECT_EQ(names_.path(a), "e/a");
  EXPECT_EQ(found(d, "a", file(3)), a);
  names_.removed(d, "a");
  EXPECT_FALSE(names_.path(a));
  names_.forget(a, 2);
  EXPECT_FALSE(names_.path(a));
  EXPECT_NE(found(d, "a", file(4)), a);
}

TEST_F(NamesTest, AnotherFileIsAnotherNumber) {
  const auto one = found(Names::root, "a", file(2));
  const auto two = found(Names::root, "a", file(3));
  EXPECT_NE(one, two);
  EXPECT_FALSE(names_.path(one));
  EXPECT_EQ(names_.path(two), "a");
  // A folder keeps it: whoever is in it sees what is there now.
  const auto d = found(Names::root, "d", file(4, S_IFDIR));
  names_.set_watch(d, 9);
  EXPECT_EQ(found(Names::root, "d", file(5, S_IFDIR)), d);
  EXPECT_TRUE(replaced_);
  EXPECT_FALSE(names_.watched(d)) << "its watch is on the folder that it was";
  EXPECT_EQ(found(Names::root, "d", file(5, S_IFDIR)), d);
  EXPECT_FALSE(replaced_);
  EXPECT_NE(found(Names::root, "d", file(5)), d);
}

TEST_F(NamesTest, AnExchange) {
  const auto d = found(Names::root, "d", file(2, S_IFDIR));
  const auto a = found(d, "a", file(3));
  const auto b = found(Names::root, "b", file(4));
  names_.renamed(d, "a", Names::root, "b", true);
  EXPECT_EQ(names_.path(a), "b");
  EXPECT_EQ(names_.path(b), "d/a");
  names_.renamed(d, "a", Names::root, "b", false);
  EXPECT_EQ(names_.path(b), "b");
  EXPECT_FALSE(names_.path(a));
}

TEST_F(NamesTest, AFolderOutlivesItsNumberOfLooksWhileItHoldsSomething) {
  const auto d = found(Names::root, "d", file(2, S_IFDIR));
  const auto a = found(d, "a", file(3));
  names_.forget(d, 1);
  EXPECT_EQ(names_.path(a), "d/a");
  names_.forget(a, 1);
  EXPECT_FALSE(names_.path(d));
}

TEST_F(NamesTest, OnesOwnDoingIsKnownFromTheHosts) {
  names_.set_watch(Names::root, 7);
  EXPECT_EQ(names_.by_watch(7), Names::root);
  names_.doing(Names::root, "a");
  EXPECT_TRUE(names_.about(Names::root, "a", true).own);
  EXPECT_FALSE(names_.about(Names::root, "a", true).own);
  names_.doing(Names::root, "a");
  names_.not_done(Names::root, "a");
  EXPECT_FALSE(names_.about(Names::root, "a", true).own);
  EXPECT_TRUE(names_.absent(Names::root, "b"));
  EXPECT_TRUE(names_.about(Names::root, "b", true).absent);
  EXPECT_FALSE(names_.about(Names::root, "b", true).absent);
  const auto a = found(Names::root, "a", file(2));
  EXPECT_FALSE(names_.about(a).loose);
  names_.asks_again(a);
  EXPECT_TRUE(names_.about(a).loose);
  names_.unwatched(7);
  EXPECT_FALSE(names_.watched(Names::root));
}

TEST_F(NamesTest, WhatIsHeardOfNamesTheKernelDoesNotKnowIsCounted) {
  names_.set_watch(Names::root, 7);
  found(Names::root, "a", file(2));
  EXPECT_TRUE(names_.absent(Names::root, "b"));
  names_.doing(Names::root, "c");
  const auto before = names_.unknown();
  names_.about(Names::root, "a", false);
  names_.about(Names::root, "b", true);
  names_.about(Names::root, "c", true);
  EXPECT_EQ(names_.unknown(), before);
  names_.about(Names::root, "d", true);
  EXPECT_EQ(names_.unknown(), before + 1);
  names_.about(Names::root, "d", false);
  EXPECT_EQ(names_.unknown(), before + 2);
}

TEST_F(NamesTest, AWatchGoesWithTheFolder) {
  const auto d = found(Names::root, "d", file(2, S_IFDIR));
  names_.set_watch(d, 3);
  const auto e = found(Names::root, "e", file(2, S_IFDIR));  // the host moved it
  names_.set_watch(e, 3);
  EXPECT_FALSE(names_.watched(d));
  EXPECT_EQ(names_.by_watch(3), e);
  names_.forget(e, 1);
  EXPECT_EQ(names_.left_watches(), std::vector<int>{3});
  EXPECT_FALSE(names_.by_watch(3));
}

}  // namespace
}  // namespace bulkhead::keep
