#include "review/review.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/sys.h"
#include "policy/digest.h"
#include "review/apply.h"
#include "review/begin.h"
#include "review/journal.h"

namespace bulkhead::review {
namespace {

class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    char where[] = "/tmp/bulkhead-review-test-XXXXXX";
    ASSERT_NE(::mkdtemp(where), nullptr);
    root_ = where;
    ASSERT_TRUE(sys::make_directories(root_ + "/folder", 0755));
    paths_.home = root_;
    paths_.state = root_ + "/state/bulkhead";
    auto reviews = Reviews::open(paths_);
    ASSERT_TRUE(reviews) << reviews.error().message;
    reviews_ = std::move(*reviews);
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root_)); }

  Result<Review> make() {
    const auto folder = sys::open(root_ + "/folder", O_PATH);
    Info info;
    info.session = "abcdefghijkl";
    return begin(reviews_, folder->get(), root_ + "/folder", info, ::getuid(), ::getgid());
  }

  std::string root_;
  session::Paths paths_;
  Reviews reviews_;
};

TEST(Paths, AnyByteComesBack) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  const auto back = decode_path(encode_path(all));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, all);
  EXPECT_EQ(encode_path("src/a b%"), "src/a%20b%25");
  for (const char* wrong : {"%", "%4", "%zz", "%4G"}) EXPECT_FALSE(decode_path(wrong)) << wrong;
}

TEST_F(Scratch, OneIsFoundAgainAndLocked) {
  auto review = make();
  ASSERT_TRUE(review) << review.error().message;
  ASSERT_EQ(reviews_.list().size(), 1U);
  EXPECT_EQ(reviews_.list().front().folder, root_ + "/folder");
  auto other = reviews_.open(review->info().id, true);
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->locked());
  EXPECT_FALSE(other->erase());
  ASSERT_TRUE(review->settle({"a b", "c"}));
  EXPECT_EQ(*other->settled(), (std::set<std::string>{"a b", "c"}));
  EXPECT_TRUE(review->erase());
  EXPECT_TRUE(reviews_.list().empty());
}

TEST_F(Scratch, AJournalComesBackWhole) {
  auto review = make();
  ASSERT_TRUE(review);
  EXPECT_FALSE(*read_journal(*review));
  Journal journal;
  journal.state = Journal::State::committing;
  journal.staging = ".staging";
  journal.whole = true;
  journal.settled = {"x\n"};
  Step step;
  step.what = Step::What::set;
  step.path = "x\xff";
  step.before = {1, 2, -3, 4, 5};
  step.fresh = 6;
  step.mode = 0755;
  step.mtime = -7;
  step.folder = true;
  journal.steps = {step};
  ASSERT_TRUE(write_journal(*review, journal));
  const auto back = read_journal(*review);
  ASSERT_TRUE(back && *back);
  const Journal& found = **back;
  EXPECT_EQ(found.state, journal.state);
  EXPECT_EQ(found.staging, journal.staging);
  EXPECT_EQ(found.settled, journal.settled);
  EXPECT_TRUE(found.whole);
  ASSERT_EQ(found.steps.size(), 1U);
  EXPECT_EQ(found.steps.front().path, step.path);
  EXPECT_EQ(found.steps.front().before, step.before);
  EXPECT_EQ(found.steps.front().mtime, step.mtime);
  EXPECT_EQ(found.steps.front().mode, step.mode);
  ASSERT_TRUE(review->write("journal.json", "{\"state\": \"dancing\"}"));
  EXPECT_FALSE(read_journal(*review));
}

TEST_F(Scratch, NothingChangedIsSealedAway) {
  auto review = make();
  ASSERT_TRUE(review);
  const auto kept = seal(*review);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_FALSE(*kept);
  EXPECT_TRUE(reviews_.list().empty());
}

TEST_F(Scratch, AHostFileThatChangedSinceIsAConflict) {
  auto review = make();
  ASSERT_TRUE(review);
  ASSERT_TRUE(sys::write_file_atomically(review->path() + "/layers/upper/new", "inside", 0644));
  ASSERT_TRUE(*seal(*review));
  auto changes = scan(*review);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->list.size(), 1U);
  EXPECT_EQ(changes->list.front().conflict, "");
  ASSERT_TRUE(sys::write_file_atomically(root_ + "/folder/new", "outside", 0644));
  changes = scan(*review);
  ASSERT_TRUE(changes);
  EXPECT_NE(changes->list.front().conflict, "");
}

Change change(const std::string& path, Kind kind, mode_t type = S_IFREG) {
  Change out{.path = path, .kind = kind};
  struct stat st{};
  st.st_mode = type | 0644;
  if (kind != Kind::added) out.before = st;
  if (kind != Kind::removed) out.after = st;
  return out;
}

std::vector<std::string> paths_of(const std::vector<const Change*>& changes) {
  std::vector<std::string> out;
  for (const Change* one : changes) out.push_back(one->path);
  return out;
}

TEST(Choose, AFolderGoesOnlyWithAllThatIsInIt) {
  Changes changes;
  changes.list = {change("d/x", Kind::removed), change("d/a", Kind::removed), change("d", Kind::removed, S_IFDIR)};
  EXPECT_EQ(choose(changes, {})->take.size(), 3U);
  changes.list[0].conflict = "it changed";
  const auto chosen = choose(changes, {});
  EXPECT_EQ(paths_of(chosen->take), (std::vector<std::string>{"d/a"}));
  EXPECT_EQ(paths_of(chosen->conflicts), (std::vector<std::string>{"d/x"}));
  EXPECT_EQ(paths_of(chosen->left), (std::vector<std::string>{"d"}));
}

TEST(Choose, APathBringsTheFoldersItNeedsAndNoMore) {
  Changes changes;
  changes.list = {change("d", Kind::added, S_IFDIR), change("d/a", Kind::added), change("d/b", Kind::added)};
  const auto chosen = choose(changes, {{"d/b"}, true});
  EXPECT_EQ(paths_of(chosen->take), (std::vector<std::string>{"d", "d/b"}));
  EXPECT_FALSE(choose(changes, {{"e"}, true}));
}

TEST(Choose, WithoutDeletesNothingTakesTheirPlace) {
  Changes changes;
  changes.list = {change("p", Kind::removed), change("p", Kind::added, S_IFDIR), change("p/in", Kind::added),
                  change("q", Kind::changed)};
  const auto chosen = choose(changes, {{}, false});
  EXPECT_EQ(paths_of(chosen->take), (std::vector<std::string>{"q"}));
}

TEST(Choose, WhatIsHeldComesNotAndNothingStandsThereForIt) {
  Changes changes;
  changes.list = {change("d", Kind::added, S_IFDIR), change("d/e", Kind::added, S_IFDIR),
                  change("d/e/held", Kind::added),   change("f", Kind::added, S_IFDIR),
                  change("f/free", Kind::added),     change("f/held", Kind::added),
                  change("g", Kind::changed)};
  const auto chosen = choose(changes, {.held = {"d/e/held", "f/held", "g"}});
  EXPECT_EQ(paths_of(chosen->take), (std::vector<std::string>{"f", "f/free"}));
  EXPECT_EQ(paths_of(chosen->held), (std::vector<std::string>{"d/e/held", "f/held", "g"}));
  EXPECT_EQ(choose(changes, {.paths = {"f"}, .held = {"g", "f/held"}})->held.size(), 1U);
}

TEST(Choose, WhatTakesAFoldersPlaceHoldsTheFolder) {
  Changes changes;
  changes.list = {change("d/x", Kind::removed), change("d", Kind::removed, S_IFDIR), change("d", Kind::added, S_IFLNK)};
  const auto chosen = choose(changes, {.held = {"d"}});
  EXPECT_TRUE(chosen->take.empty());
  EXPECT_EQ(choose(changes, {})->take.size(), 3U);
}

// What is made has to be what was looked at: neither the layer's content nor its mode, nor a link's goal may differ.
TEST_F(Scratch, WhatChangedSinceItWasJudgedIsNotApplied) {
  ASSERT_TRUE(sys::write_file_atomically(root_ + "/folder/tool", "judged", 0644));
  // What is as young as the session could be a change of the host's, and a conflict.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  auto review = make();
  ASSERT_TRUE(review);
  const std::string upper = review->path() + "/layers/upper/";
  ASSERT_TRUE(sys::write_file_atomically(upper + "new", "judged", 0644));
  ASSERT_TRUE(sys::write_file_atomically(upper + "tool", "judged", 0755));  // the host's, executable now
  ASSERT_EQ(::symlink("judged", (upper + "link").c_str()), 0);
  ASSERT_TRUE(*seal(*review));
  const auto untouched = [&] {
    return !sys::exists(root_ + "/folder/new") && ::faccessat(AT_FDCWD, (root_ + "/folder/tool").c_str(), X_OK, 0) != 0;
  };
  // Of which path it says that it changed; "-": it was applied.
  const auto refused = [&](const Judged& judged) {
    const auto changes = scan(*review);
    const auto done = apply(*review, *choose(*changes, {}), judged, [] { return Result<void>(); });
    if (done) return std::string("-");
    EXPECT_TRUE(untouched());
    const std::string& message = done.error().message;
    EXPECT_NE(message.find("changed after it was looked at; nothing was applied"), std::string::npos) << message;
    const std::size_t from = message.find('"') + 1;
    return message.substr(from, message.find('"', from) - from);
  };
  using Kind = trust::Fingerprint::Kind;
  const std::string digest = sha256_hex("judged");
  EXPECT_EQ(refused({{"new", {Kind::file, false, "", sha256_hex("another")}}}), "new") << "its content";
  EXPECT_EQ(refused({{"new", {Kind::file, true, "", digest}}}), "new") << "whether it can be executed";
  EXPECT_EQ(refused({{"new", {Kind::link, false, "judged", ""}}}), "new") << "what it is";
  EXPECT_EQ(refused({{"link", {Kind::link, false, "another", ""}}}), "link") << "where it leads";
  EXPECT_EQ(refused({{"link", {Kind::file, false, "", digest}}}), "link") << "what it is";
  EXPECT_EQ(refused({{"tool", {Kind::file, false, "", digest}}}), "tool") << "whether it can be executed, and no more";
  const auto before = scan(*review);
  ASSERT_TRUE(sys::write_file_atomically(upper + "new", "another", 0644));
  const auto by_name = apply(*review, *choose(*before, {}), {}, [] { return Result<void>(); });
  ASSERT_FALSE(by_name) << "judged by its name alone";
  EXPECT_NE(by_name.error().message.find("\"new\" changed after it was looked at"), std::string::npos);
  EXPECT_TRUE(untouched());
  ASSERT_TRUE(sys::write_file_atomically(upper + "new", "judged", 0644));
  EXPECT_EQ(refused({{"new", {Kind::file, false, "", digest}},
                     {"tool", {Kind::file, true, "", digest}},
                     {"link", {Kind::link, false, "judged", ""}}}),
            "-");
  EXPECT_FALSE(untouched());
}

}  // namespace
}  // namespace bulkhead::review
