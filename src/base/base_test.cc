#include "base/base.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/process.h"
#include "base/random.h"

namespace bulkhead {
namespace {

TEST(Text, EscapesWhatCouldForgeALine) {
  EXPECT_EQ(escape_for_terminal("plain ü 漢"), "plain ü 漢");
  EXPECT_EQ(escape_for_terminal("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(escape_for_terminal("x\u202ey"), "x\\u{202e}y");
  EXPECT_EQ(escape_for_terminal("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(escape_for_terminal("\xc2\x9b"), "\\x9b");  // C1 CSI, two bytes of UTF-8
  EXPECT_EQ(escape_for_terminal("abcdef", 3), "abc…");
}

TEST(Text, RejectsOverlongAndSurrogates) {
  EXPECT_TRUE(valid_utf8("aé漢😀"));
  for (const char* bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(valid_utf8(bad)) << bad;
  }
}

TEST(Text, SuggestsTheNearestWordOnlyWhenNear) {
  EXPECT_EQ(nearest("metod", {"method", "path", "host"}), "method");
  EXPECT_EQ(nearest("zzzzzz", {"method", "path"}), "");
}

TEST(Sys, ErrorsNameTheCallAndTheObject) {
  const auto fd = sys::open("/nonexistent/x", O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().message, "open \"/nonexistent/x\": ENOENT (No such file or directory)");
  EXPECT_EQ(fd.error().code, ENOENT);
}

TEST(Sys, ReadFileRefusesMoreThanItsLimit) {
  EXPECT_FALSE(sys::read_file("/proc/self/maps", 10));
  EXPECT_TRUE(sys::read_file("/proc/sys/kernel/random/boot_id", 64));
}

TEST(Sys, RemoveTreeDoesNotFollowSymlinks) {
  char where[] = "/tmp/bulkhead-test-XXXXXX";
  ASSERT_NE(::mkdtemp(where), nullptr);
  const std::string root = where;
  ASSERT_TRUE(sys::make_directories(root + "/tree/a/b", 0700));
  ASSERT_TRUE(sys::make_directories(root + "/outside", 0700));
  ASSERT_TRUE(sys::write_file_atomically(root + "/outside/keep", "x", 0600));
  ASSERT_EQ(::symlink((root + "/outside").c_str(), (root + "/tree/a/link").c_str()), 0);
  auto dir = sys::open(root, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  EXPECT_TRUE(sys::remove_tree(dir->get(), "tree"));
  EXPECT_FALSE(sys::exists(root + "/tree"));
  EXPECT_TRUE(sys::exists(root + "/outside/keep"));
  EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root));
}

TEST(Sys, RemoveTreeNeedsNoModeAndNoDepth) {
  char where[] = "/tmp/bulkhead-test-XXXXXX";
  ASSERT_NE(::mkdtemp(where), nullptr);
  const std::string root = where;
  ASSERT_TRUE(sys::make_directories(root + "/tree/locked/inner/more", 0700));
  ASSERT_TRUE(sys::write_file_atomically(root + "/tree/locked/inner/file", "x", 0));
  ASSERT_TRUE(sys::make_directories(root + "/tree/removed-0/removed-0", 0700));  // the names it uses itself
  ASSERT_EQ(::chmod((root + "/tree/locked/inner").c_str(), 0), 0);
  ASSERT_EQ(::chmod((root + "/tree/locked").c_str(), 0500), 0);
  auto tree = sys::open(root + "/tree", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(tree);
  UniqueFd at = std::move(*tree);
  for (int depth = 0; depth < 5000; ++depth) {  // deeper than a path can name, or descriptors reach
    ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
    auto next = sys::open_at(at.get(), "d", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(next);
    at = std::move(*next);
  }
  auto dir = sys::open(root, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  const auto removed = sys::remove_tree(dir->get(), "tree");
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(sys::exists(root + "/tree"));
  EXPECT_EQ(::rmdir(where), 0);
}

TEST(Ipc, CarriesTextAndDescriptors) {
  auto pair = sys::socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  auto file = sys::memory_file("t", "hello");
  const int fd = file->get();
  ASSERT_TRUE(ipc::send(pair->first.get(), nlohmann::json{{"type", "x"}}, std::span(&fd, 1)));
  auto got = ipc::receive(pair->second.get());
  ASSERT_TRUE(got);
  ASSERT_EQ(got->fds.size(), 1U);
  EXPECT_EQ(*sys::read_all(got->fds[0].get(), 100, "t"), "hello");
  EXPECT_EQ((*ipc::parse(got->text))["type"], "x");
  pair->first.reset();
  EXPECT_TRUE(ipc::receive(pair->second.get())->closed);
  EXPECT_FALSE(ipc::parse("[1]"));
  EXPECT_FALSE(ipc::parse("{"));
}

TEST(Process, GivesTheChildOnlyWhatItWasGiven) {
  auto out = sys::pipe();
  auto program = sys::open("/bin/sh", O_PATH);
  auto secret = sys::memory_file("secret", "s");
  ::fcntl(secret->get(), F_SETFD, 0);  // even an inheritable descriptor must not get through
  SpawnOptions options;
  options.program = program->get();
  options.arguments = {"sh", "-c", "ls /proc/self/fd | wc -l; env; exit 7"};
  options.environment = {"PATH=/usr/bin:/bin"};
  options.fds = {-1, out->second.get(), 2};
  auto child = spawn(options);
  ASSERT_TRUE(child);
  out->second.reset();
  const auto text = sys::read_all(out->first.get(), 4096, "pipe");
  EXPECT_EQ(text->substr(0, 2), "4\n");  // 0, 1, 2 and ls's own directory
  EXPECT_EQ(text->find("HOME="), std::string::npos);
  EXPECT_EQ(child->wait()->code, 7);
}

TEST(Random, IsNotConstant) {
  EXPECT_EQ(random_hex(16).size(), 32U);
  EXPECT_NE(random_hex(16), random_hex(16));
}

TEST(Text, UnhexTakesWhatHexMakes) {
  const std::string bytes("\0\x7f\xff a", 5);
  EXPECT_EQ(unhex(hex(bytes)), bytes);
  EXPECT_EQ(unhex(""), "");
  for (const char* text : {"0", "0g", "FF", "-1", " 1", "0x", "00 "}) EXPECT_EQ(unhex(text), std::nullopt) << text;
}

}  // namespace
}  // namespace bulkhead
