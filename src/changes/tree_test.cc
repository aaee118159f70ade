#include "changes/tree.h"

#include <gtest/gtest.h>

namespace bulkhead::changes {
namespace {

TEST(Tree, AFolderTakesWhatIsBelowItAlong) {
  Tree tree;
  EXPECT_TRUE(tree.add_top(1, 0));
  EXPECT_TRUE(tree.add_top(9, 1));
  EXPECT_FALSE(tree.add_top(1, 2));
  tree.add(2, 1, "a");
  tree.add(3, 2, "b");
  EXPECT_EQ(tree.place(3), (Place{0, "a/b"}));
  tree.move(2, 9, "c");
  EXPECT_EQ(tree.place(3), (Place{1, "c/b"}));
  EXPECT_EQ(tree.child(1, "a"), std::nullopt);
  EXPECT_EQ(tree.remove(2).size(), 2U);
  EXPECT_EQ(tree.place(3), std::nullopt);
  EXPECT_EQ(tree.size(), 2U);
}

// Moves can be heard of late, or not at all; nothing of that makes a ring.
TEST(Tree, WhatCantBeIsNot) {
  Tree tree;
  tree.add_top(1, 0);
  tree.add(2, 1, "a");
  tree.add(3, 2, "b");
  tree.add(4, 3, "c");
  tree.move(2, 4, "x");  // below itself
  tree.move(2, 2, "x");
  tree.move(1, 2, "x");  // a top
  tree.move(7, 2, "x");  // nobody
  tree.move(2, 7, "x");
  tree.add(5, 7, "x");
  tree.add(3, 1, "again");
  EXPECT_EQ(tree.place(4), (Place{0, "a/b/c"}));
  EXPECT_EQ(tree.size(), 4U);
  // Into the place of another, which is gone then.
  tree.add(5, 1, "other");
  tree.add(6, 5, "below");
  tree.move(3, 1, "other");
  EXPECT_EQ(tree.place(4), (Place{0, "other/c"}));
  EXPECT_FALSE(tree.knows(5));
  EXPECT_FALSE(tree.knows(6));
  // Into the place of what it is in: that one was moved away before, unheard.
  tree.move(4, 1, "other");
  EXPECT_EQ(tree.place(4), (Place{0, "other/c"}));
  EXPECT_TRUE(tree.remove(77).empty());
}

}  // namespace
}  // namespace bulkhead::changes
