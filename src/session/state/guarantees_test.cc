#include "session/state/guarantees.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "session/state/landlock.h"
#include "session/state/probe.h"

namespace bulkhead::session {
namespace {

std::vector<std::string> words(std::string_view list) {
  return list.empty() ? std::vector<std::string>() : split(list, ' ');
}

TEST(Guarantees, EachIsWholeAndNamedOnce) {
  std::set<std::string_view> ids;
  for (const Guarantee& g : guarantees()) {
    EXPECT_TRUE(ids.insert(g.id).second) << g.id;
    EXPECT_TRUE(g.sentence.ends_with('.')) << g.id;
    EXPECT_FALSE(g.primitive.empty()) << g.id;
    EXPECT_FALSE(words(g.tiers).empty()) << g.id;
    EXPECT_FALSE(words(g.attacks).empty()) << g.id << " is proven by nothing";
    for (const std::string_view text : {g.sentence, g.primitive}) {
      EXPECT_EQ(text.find('|'), std::string_view::npos) << g.id << ": breaks the table";
    }
  }
}

TEST(Guarantees, NameProbesThatExist) {
  std::set<std::string> known;
  for (const Probe& probe : probes()) EXPECT_TRUE(known.insert(std::string(probe.id)).second) << probe.id;
  for (const Guarantee& g : guarantees()) {
    for (const std::string& probe : words(g.probes)) EXPECT_TRUE(known.contains(probe)) << g.id << ": " << probe;
  }
}

// All the tests there are, as one text: what a guarantee claims to be proven by must be in one of them.
std::string all_tests() {
  namespace fs = std::filesystem;
  std::string text;
  for (const char* folder : {"/tests", "/src", "/guest"}) {
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(std::string(BULKHEAD_SOURCE_DIR) + folder, ignored)) {
      const std::string path = entry.path().string();
      const bool test = path.find("/tests/") != std::string::npos || path.ends_with("_test.cc");
      if (!entry.is_regular_file() || !test || path == __FILE__) continue;
      text += sys::read_file(path, 4 << 20).value_or("") + "\n";
    }
  }
  return text;
}

TEST(Guarantees, NameAttacksThatAreTested) {
  const std::string tests = all_tests();
  for (const Guarantee& g : guarantees()) {
    for (const std::string& id : words(g.attacks)) {
      EXPECT_NE(tests.find(id), std::string::npos) << g.id << ": no test carries the id " << id;
    }
  }
}

TEST(Guarantees, DocumentIsTheTable) {
  const auto committed = sys::read_file(BULKHEAD_SOURCE_DIR "/docs/guarantees.md", 1 << 20);
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(*committed, guarantees_markdown())
      << "regenerate: bulkhead doctor --guarantees-markdown > docs/guarantees.md";
}

TEST(Guarantees, AProbeNamesWhatItCosts) {
  std::set<std::string_view> ids;
  for (const Guarantee* g : guarantees_needing("room")) ids.insert(g->id);
  EXPECT_TRUE(ids.contains("net-room"));
  EXPECT_TRUE(ids.contains("net-dns"));
  EXPECT_FALSE(ids.contains("landlock"));
  EXPECT_TRUE(guarantees_needing("seccom").empty()) << "whole words only";
}

TEST(Landlock, SaysWhatEachAbiLacks) {
  EXPECT_EQ(landlock_lacks(0), "second file layer");
  EXPECT_NE(landlock_lacks(1).find("moves between folders, truncation"), std::string::npos);
  EXPECT_EQ(landlock_lacks(2), "truncation, device ioctls, scoping of signals and abstract sockets");
  EXPECT_EQ(landlock_lacks(5), "scoping of signals and abstract sockets");
  EXPECT_EQ(landlock_lacks(6), "");
  EXPECT_EQ(landlock_lacks(99), "");
}

TEST(Landlock, TheStartLineAgreesWithTheKernel) {
  EXPECT_EQ(start_line_missing(Tier::native).empty(), landlock_abi() >= 6);
}

}  // namespace
}  // namespace bulkhead::session
