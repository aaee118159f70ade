#include "session/policy_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "policy/load.h"

namespace bulkhead::session {
namespace {

const std::string one = "[[grant]]\nhost = \"new.example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";

struct PolicyFileTest : testing::Test {
  PolicyFileTest() {
    char name[] = "/tmp/policy_file.XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/policy.toml";
  }
  ~PolicyFileTest() override {
    const std::string parent = folder.substr(0, folder.rfind('/'));
    if (auto dir = sys::open(parent, O_RDONLY | O_DIRECTORY)) {
      (void)sys::remove_tree(dir->get(), folder.substr(parent.size() + 1));
    }
  }
  void write(const std::string& text) { ASSERT_TRUE(sys::write_file_atomically(path, text, 0644)); }
  std::string read() const { return sys::read_file(path, 1 << 20).value_or("(none)"); }
  std::size_t files() const {
    const auto dir = sys::open(folder, O_RDONLY | O_DIRECTORY);
    return sys::list_directory(dir->get())->size();
  }

  std::string folder, path;
};

TEST_F(PolicyFileTest, PutsTheGrantBehindWhatIsThere) {
  const std::string before = "# mine\nversion = 1 # one\n[env]\npass = [\"A\"]  # last, and no line end";
  write(before);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  auto file = PolicyFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->append(one, "why\x1b[2J\nversion = 2"));
  EXPECT_EQ(read(), before + "\n\n# why\\x1b[2J\\x0aversion = 2\n" + one);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_TRUE(file->append(one, "again"));
  const auto document = load_document_file(path, "user");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->grants.size(), 2U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(PolicyFileTest, AFileThatIsNotThereYet) {
  path = folder + "/config/bulkhead/policy.toml";
  auto file = PolicyFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->append(one, "why"));
  EXPECT_EQ(read(), "version = 1\n\n# why\n" + one);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(PolicyFileTest, WhatHasChangedIsLeftAlone) {
  write("version = 1\n");
  auto file = PolicyFile::open(path);
  ASSERT_TRUE(file);
  write("version = 1 \n");
  EXPECT_FALSE(file->append(one, "why"));
  EXPECT_EQ(read(), "version = 1 \n");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_FALSE(file->append(one, "why"));
  EXPECT_EQ(files(), 0U);
  auto none = PolicyFile::open(path);
  ASSERT_TRUE(none);
  write("version = 1\n");
  EXPECT_FALSE(none->append(one, "why")) << "it was not there";
  EXPECT_EQ(read(), "version = 1\n");
  EXPECT_EQ(files(), 1U);
}

TEST_F(PolicyFileTest, LinksAreFollowedOnceAtTheBeginning) {
  const std::string real = folder + "/real.toml";
  ASSERT_TRUE(sys::write_file_atomically(real, "version = 1\n", 0644));
  ASSERT_EQ(::symlink("real.toml", path.c_str()), 0);
  auto file = PolicyFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->path(), real);
  ASSERT_TRUE(file->append(one, "why"));
  EXPECT_NE(read().find("new.example.com"), std::string::npos);
  struct stat status{};
  ASSERT_EQ(::lstat(path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  // The real one becomes a link: somebody wants it to be another file.
  const std::string other = folder + "/other.toml";
  ASSERT_EQ(::rename(real.c_str(), other.c_str()), 0);
  ASSERT_EQ(::symlink("other.toml", real.c_str()), 0);
  const std::string before = read();
  EXPECT_FALSE(file->append(one, "why"));
  EXPECT_EQ(read(), before);
}

TEST_F(PolicyFileTest, WhatIsNotTheUsersAlone) {
  write("version = 1\n");
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  EXPECT_FALSE(PolicyFile::open(path));
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_FALSE(PolicyFile::open(path));
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(PolicyFile::open(path));
  EXPECT_FALSE(PolicyFile::open("/etc/passwd/policy.toml"));
  if (::geteuid() != 0) EXPECT_FALSE(PolicyFile::open("/etc/hostname")) << "root's";
}

TEST_F(PolicyFileTest, NothingThatWouldNotLoadIsWritten) {
  write("version = 1\n");
  auto file = PolicyFile::open(path);
  ASSERT_TRUE(file);
  for (const std::string& toml : {std::string("[[grant]]\n"), one + one, std::string(), std::string("ask = true\n"),
                                  one + "[limits]\nmemory = 0\n"}) {
    EXPECT_FALSE(file->append(toml, "why")) << toml;
  }
  EXPECT_EQ(read(), "version = 1\n");
  EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace bulkhead::session
