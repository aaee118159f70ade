#include "handoff/live.h"

#include "trust/find.h"
#include "trust/test_help.h"

namespace bulkhead::handoff {
namespace {

using trust::Folder;
using trust::shipped;
using trust::Snapshot;

Snapshot taken(const Folder& folder) {
  Snapshot out;
  out.above = folder.path();
  EXPECT_TRUE(trust::find_controls(folder.fd(), shipped(), {}, &out));
  const auto back = trust::snapshot_from(trust::to_lines(out));
  EXPECT_TRUE(back);
  return *back;
}

std::vector<std::string> changed(const Folder& folder, const Snapshot& before) {
  const auto compared = compare(folder.fd(), before, shipped(), nullptr);
  EXPECT_TRUE(compared);
  std::vector<std::string> out;
  for (const LiveFile& file : compared->files) out.push_back(file.handed.path);
  return out;
}
using Paths = std::vector<std::string>;

TEST(Live, WhatWasThereIsNoNews) {
  const Folder folder;
  folder.write(".envrc", "id");
  folder.write("Makefile", "all:\n");
  folder.write("node_modules/x/package.json", "{}");
  folder.write("src/main.cc", "");
  const Snapshot before = taken(folder);
  EXPECT_TRUE(changed(folder, before).empty());
  folder.write("src/main.cc", "int main() {}");
  folder.write(".envrc", "id");  // written anew, and the same
  EXPECT_TRUE(changed(folder, before).empty());
  folder.write("node_modules/x/package.json", "{\"scripts\":{}}");
  folder.write("Makefile", "all:\n\tid\n");
  folder.write("g/.git/hooks/pre-commit", "id");
  EXPECT_EQ(changed(folder, before), (Paths{"g/.git/hooks/pre-commit", "Makefile", "node_modules/x/package.json"}));
}

TEST(Live, BytesThatAreNoTextComeBack) {
  const Folder folder;
  folder.write("bad\xff.code-workspace", "{\"settings\":{\"x\":1}}\xff");
  folder.link("\xff", ".mcp.json");
  const Snapshot before = taken(folder);
  EXPECT_EQ(before.entries.size(), 2U);
  EXPECT_TRUE(changed(folder, before).empty());
  const std::string lines = trust::to_lines(before);
  for (std::size_t cut = 0; cut < lines.size(); cut += 7) EXPECT_FALSE(trust::snapshot_from(lines.substr(0, cut)));
}

TEST(Live, AFolderThatNobodyCouldLookIntoIsNoNewsAsLongAsItIsAsItWas) {
  Snapshot before, after;
  const Snapshot::Unseen dark{{1, 2, 3, 4, 5}, "can't be read"};
  before.unseen["dark"] = dark;
  before.unseen["gone"] = dark;
  after.unseen["dark"] = dark;
  EXPECT_EQ(trust::why_incomplete(before, after), "");
  after.unseen["dark"].mark.ctime = 6;
  EXPECT_EQ(trust::why_incomplete(before, after), "dark: can't be read");
  after.unseen["dark"] = dark;
  after.unseen["fresh"] = dark;
  EXPECT_EQ(trust::why_incomplete(before, after), "fresh: can't be read");
  before.unseen["."] = {{}, "too large"};
  after.unseen = before.unseen;
  EXPECT_EQ(trust::why_incomplete(before, after), ".: too large");
  const auto back = trust::snapshot_from(trust::to_lines(before));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->unseen, before.unseen);
}

TEST(Live, SessionsJoinByWhatWasBeforeTheFirst) {
  LiveFolder folder;
  const auto file = [](const char* path, const char* before, const char* after) {
    LiveFile out;
    out.handed.path = path;
    const auto print = [](const char* text) {
      trust::Fingerprint one;
      if (*text != '\0') one.kind = trust::Fingerprint::Kind::file;
      one.sha256 = text;
      return one;
    };
    out.handed.before = print(before);
    out.handed.after = print(after);
    return out;
  };
  join(folder, {file("a", "1", "2"), file("b", "", "x")});
  join(folder, {file("a", "2", "3"), file("b", "x", "")});
  ASSERT_EQ(folder.files.size(), 1U) << "b came and went";
  EXPECT_EQ(folder.files[0].handed.before.sha256, "1");
  EXPECT_EQ(folder.files[0].handed.after.sha256, "3");
  join(folder, {file("a", "3", "1")});
  EXPECT_TRUE(folder.files.empty());
}

TEST(Live, HowAFileStandsNow) {
  const Folder folder;
  folder.write("Makefile", "all:\n");
  const Snapshot before = taken(folder);
  folder.write("Makefile", "all:\n\tid\n");
  const auto compared = compare(folder.fd(), before, shipped(), nullptr);
  ASSERT_TRUE(compared);
  ASSERT_EQ(compared->files.size(), 1U);
  const LiveFile& file = compared->files[0];
  EXPECT_EQ(file.text, "all:\n");
  EXPECT_EQ(state_of(file, folder.fd(), nullptr), Now::as_left);
  EXPECT_EQ(text_now(file, folder.fd()), "all:\n\tid\n");
  folder.write("Makefile", "all:\n\tpwd\n");
  EXPECT_EQ(state_of(file, folder.fd(), nullptr), Now::changed);
  EXPECT_EQ(text_now(file, folder.fd()), std::nullopt);
  folder.write("Makefile", "all:\n");
  EXPECT_EQ(state_of(file, folder.fd(), nullptr), Now::back);
}

}  // namespace
}  // namespace bulkhead::handoff
