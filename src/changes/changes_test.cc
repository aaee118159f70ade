// The real bulkhead-changes, confined: a call that its seccomp list lacks would kill it here.
#include "changes/changes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/ipc.h"
#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::changes {
namespace {

namespace fs = std::filesystem;

constexpr timeval patient{10, 0};

class ChangesTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's own syscalls are not in the allow-lists";
#endif
    ::signal(SIGPIPE, SIG_IGN);
    std::string name = (fs::temp_directory_path() / "changes-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
  }
  void TearDown() override {
    if (!top_.empty()) fs::remove_all(top_);
  }

  // Watches these, in order the mounts /0, /1, …
  void watch(const std::vector<fs::path>& mounts) {
    const auto program = sys::open(BULKHEAD_CHANGES, O_PATH);
    auto control = sys::socket_pair(SOCK_SEQPACKET), evidence = sys::socket_pair(SOCK_SEQPACKET);
    auto said = sys::pipe();
    SpawnOptions options;
    options.program = program->get();
    options.arguments = {"bulkhead-changes"};
    options.fds = {-1, -1, said->second.get(), control->second.get(), evidence->second.get()};
    child_ = std::move(*spawn(options));
    said_ = std::move(said->first);
    control_ = std::move(control->first);
    evidence_ = std::move(evidence->first);
    for (const UniqueFd* fd : {&control_, &evidence_}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof patient);
    }
    nlohmann::json targets = nlohmann::json::array();
    std::vector<UniqueFd> tops;
    std::vector<int> fds;
    for (const fs::path& mount : mounts) {
      targets.push_back("/" + std::to_string(fds.size()));
      tops.push_back(std::move(*sys::open(mount.string(), O_PATH)));
      fds.push_back(tops.back().get());
    }
    // In two parts, as of many.
    const nlohmann::json first{{"type", "watch"}, {"mounts", nlohmann::json::array()}, {"more", true}};
    ASSERT_TRUE(ipc::send(control_.get(), first));
    ASSERT_TRUE(ipc::send(control_.get(), {{"type", "watch"}, {"mounts", targets}, {"more", false}}, fds));
    for (std::string type; type != "ready";) {
      const auto message = ipc::receive(control_.get());
      ASSERT_TRUE(message && !message->closed);
      type = ipc::parse(message->text)->value("type", "");
      if (type == "unseen") told_.push_back(ipc::parse(message->text)->value("reason", ""));
    }
  }

  // All that is recorded until its end.
  std::vector<nlohmann::json> end() {
    control_.reset();
    std::vector<nlohmann::json> out;
    for (;;) {
      const auto message = ipc::receive(evidence_.get());
      if (!message || message->closed) break;
      out.push_back(*ipc::parse(message->text));
    }
    EXPECT_EQ(child_.wait()->shell(), 0);
    return out;
  }

  // PATH or MOUNT:PATH -> how, of what is recorded until its end.
  std::map<std::string, std::set<std::string>> changed() {
    std::map<std::string, std::set<std::string>> out;
    for (const nlohmann::json& event : end()) {
      if (event.value("type", "") != "file.changed") {
        others_.push_back(event);
        continue;
      }
      std::string path = event["path"];
      if (event["mount"] != "/0") path = event["mount"].get<std::string>() + ":" + path;
      if (event.contains("from"))
        path = event.value("from_mount", "") + event["from"].get<std::string>() + " -> " + path;
      for (const auto& how : event["how"]) out[path].insert(how);
      if (event.value("folder", false)) out[path].insert("(folder)");
    }
    return out;
  }

  void write(const fs::path& path) const { std::ofstream(top_ / path) << "x\n"; }

  fs::path top_;
  Child child_;
  UniqueFd control_, evidence_, said_;
  std::vector<nlohmann::json> others_;
  std::vector<std::string> told_;  // to the supervisor, of what can't be seen
};

using Set = std::set<std::string>;

TEST_F(ChangesTest, WhatHappensToFiles) {
  fs::create_directories(top_ / "deep/er/folder");
  for (const char* name : {"written", "gone", "moved", "deep/er/folder/file", "mode"}) write(name);
  watch({top_});
  write("new");
  write("written");
  write("deep/er/folder/file");
  fs::remove(top_ / "gone");
  fs::rename(top_ / "moved", top_ / "deep/there");
  fs::permissions(top_ / "mode", fs::perms::owner_all);
  fs::create_symlink("/etc/passwd", top_ / "link");
  const auto seen = changed();
  EXPECT_EQ(seen.at("new"), (Set{"create", "write"}));
  EXPECT_EQ(seen.at("written"), (Set{"write"}));
  EXPECT_EQ(seen.at("deep/er/folder/file"), (Set{"write"}));
  EXPECT_EQ(seen.at("gone"), (Set{"remove"}));
  EXPECT_EQ(seen.at("moved -> deep/there"), (Set{"move"}));
  EXPECT_EQ(seen.at("mode"), (Set{"attributes"}));
  EXPECT_EQ(seen.at("link"), (Set{"create"}));
  EXPECT_EQ(seen.size(), 7U);
  EXPECT_EQ(others_, std::vector<nlohmann::json>());
}

TEST_F(ChangesTest, FoldersThatComeAreWatched) {
  watch({top_});
  // Faster than anybody can put a watch on them.
  for (int i = 0; i < 20; ++i) {
    fs::create_directories(top_ / ("new" + std::to_string(i)) / "a/b");
    write("new" + std::to_string(i) + "/a/b/file");
  }
  const auto seen = changed();
  for (int i = 0; i < 20; ++i) {
    const std::string name = "new" + std::to_string(i);
    EXPECT_EQ(seen.at(name), (Set{"create", "(folder)"}));
    EXPECT_TRUE(seen.at(name + "/a/b/file").contains("create")) << name;
  }
}

TEST_F(ChangesTest, AFolderIsKnownByItsNewName) {
  fs::create_directories(top_ / "mount/a/b");
  fs::create_directories(top_ / "outside");
  write("mount/a/b/file");
  watch({top_ / "mount"});
  fs::rename(top_ / "mount/a", top_ / "mount/renamed");
  write("mount/renamed/b/file");
  fs::rename(top_ / "mount/renamed/b", top_ / "outside/b");
  fs::create_directory(top_ / "outside/comes");
  write("outside/comes/before");
  fs::rename(top_ / "outside/comes", top_ / "mount/comes");
  // Until it is watched.
  for (int i = 0; i < 100; ++i) {
    ::usleep(20'000);
    write("mount/comes/before");
  }
  write("outside/b/file");  // is nobody's any more
  const auto seen = changed();
  EXPECT_EQ(seen.at("a -> renamed"), (Set{"move", "(folder)"}));
  EXPECT_EQ(seen.at("renamed/b"), (Set{"move_out", "(folder)"}));
  EXPECT_EQ(seen.at("comes"), (Set{"move_in", "(folder)"}));
  EXPECT_TRUE(seen.at("comes/before").contains("write"));
  for (const auto& [path, how] : seen)
    EXPECT_FALSE(path.find("b/file") != path.npos && path != "renamed/b/file") << path;
}

TEST_F(ChangesTest, SeveralMountsAndFiles) {
  fs::create_directories(top_ / "one/below");
  fs::create_directories(top_ / "two");
  write("one/file");
  write("single");
  watch({top_ / "one", top_ / "two", top_ / "single", top_ / "one/below"});
  write("single");
  write("one/below/file");
  fs::rename(top_ / "one/file", top_ / "two/file");
  const auto seen = changed();
  EXPECT_EQ(seen.at("/2:"), (Set{"write"}));
  EXPECT_EQ(seen.at("/0file -> /1:file"), (Set{"move"}));
  EXPECT_EQ(seen.at("/3:file"), (Set{"create", "write"}));  // of the inner one
  EXPECT_EQ(seen.size(), 3U);
}

TEST_F(ChangesTest, NamesOfAnyKind) {
  watch({top_});
  const std::string bad = "bad-\xff\xfe", line = "line\nline", longest(255, 'n');
  for (const std::string& name : {bad, line, longest}) write(name);
  const auto seen = changed();
  EXPECT_TRUE(seen.contains(line));
  EXPECT_TRUE(seen.contains(longest));
  EXPECT_TRUE(seen.contains("bad-\xef\xbf\xbd\xef\xbf\xbd"));
}

TEST_F(ChangesTest, OfAFloodTheNumberIsKept) {
  fs::create_directory(top_ / "folder");
  watch({top_});
  for (int i = 0; i < 30'000; ++i) {
    const std::string name = (top_ / "folder" / std::to_string(i)).string();
    ::close(::open(name.c_str(), O_CREAT | O_WRONLY, 0600));
  }
  const auto seen = changed();
  EXPECT_GE(seen.size(), 10'000U);
  std::uint64_t left_out = 0;
  bool lost = false;
  for (const nlohmann::json& event : others_) {
    left_out += event.value("type", "") == "file.omitted" ? event["count"].get<std::uint64_t>() : 0;
    lost = lost || event.value("reason", "") == "overflow";
  }
  EXPECT_TRUE(lost || seen.size() + left_out >= 30'000) << left_out;
  EXPECT_LT(seen.size(), 20'000U);
}

TEST_F(ChangesTest, AFolderThatCantBeReadIsSaid) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  fs::create_directories(top_ / "closed");
  fs::permissions(top_ / "closed", fs::perms::none);
  watch({top_});
  fs::permissions(top_ / "closed", fs::perms::owner_all);
  EXPECT_EQ(told_, std::vector<std::string>{"access"});
  (void)changed();
  ASSERT_EQ(others_.size(), 1U);
  EXPECT_EQ(others_[0].value("type", ""), "file.unseen");
  EXPECT_EQ(others_[0].value("reason", ""), "access");
}

}  // namespace
}  // namespace bulkhead::changes
