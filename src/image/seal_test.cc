#include "image/seal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"
#include "base/sys.h"

namespace bulkhead::image {
namespace {

class Seal : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-seal.XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    path_ = name;
    auto fd = sys::open(path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd);
    fd_ = std::move(*fd);
  }
  void TearDown() override {
    const auto above = sys::open("/tmp", O_RDONLY | O_DIRECTORY);
    if (above) (void)sys::remove_tree(above->get(), path_.substr(5));
  }
  void file(const std::string& name, mode_t mode, std::size_t size = 1) {
    const auto made = sys::open_at(fd_.get(), name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ASSERT_TRUE(made);
    ASSERT_TRUE(sys::write_all(made->get(), std::string(size, 'x'), name));
    ASSERT_EQ(::fchmod(made->get(), mode), 0);
  }
  void folder(const std::string& name, mode_t mode) {
    ASSERT_EQ(::mkdirat(fd_.get(), name.c_str(), 0700), 0);
    ASSERT_EQ(::fchmodat(fd_.get(), name.c_str(), mode, 0), 0);
  }
  mode_t mode(const std::string& name) {
    struct stat st{};
    return ::fstatat(fd_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode : 0;
  }

  std::string path_;
  UniqueFd fd_;
};

TEST_F(Seal, NothingButFoldersFilesAndLinks) {
  file("set", 06755);
  file("closed", 0);
  folder("sticky", 03777);
  folder("shut", 0);
  ASSERT_EQ(::symlinkat("/etc/passwd", fd_.get(), "link"), 0);
  ASSERT_EQ(::mkfifoat(fd_.get(), "sticky/fifo", 0666), 0);
  const auto size = seal(fd_.get(), Bounds());
  ASSERT_TRUE(size) << size.error().message;
  EXPECT_EQ(size->files, 6U);
  EXPECT_EQ(mode("set"), S_IFREG | 0755U);
  EXPECT_EQ(mode("closed"), S_IFREG | 0400U);
  EXPECT_EQ(mode("sticky"), S_IFDIR | 0777U);
  EXPECT_EQ(mode("shut"), S_IFDIR | 0700U);
  EXPECT_EQ(mode("link") & S_IFMT, static_cast<mode_t>(S_IFLNK));
  EXPECT_EQ(mode("sticky/fifo"), 0U);
}

TEST_F(Seal, Bounds) {
  file("a", 0644, 100'000);
  ASSERT_EQ(::linkat(fd_.get(), "a", fd_.get(), "b", 0), 0);
  EXPECT_TRUE(measure(fd_.get(), {.bytes = 150'000, .files = 2}));  // one file, two names
  EXPECT_FALSE(measure(fd_.get(), {.bytes = 50'000, .files = 2}));
  EXPECT_FALSE(measure(fd_.get(), {.bytes = 150'000, .files = 1}));
}

}  // namespace
}  // namespace bulkhead::image
