#include "tier/vm/saved.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "policy/digest.h"

namespace bulkhead::tier::vm {
namespace {

constexpr std::uint64_t memory_pages = 1024;

class SavedMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/bulkhead-saved-XXXXXX";
    path_ = ::mkdtemp(name);
    folder_ = *sys::open(path_, O_RDONLY | O_DIRECTORY);
    memory_ = empty_memory();
    put(memory_, 0, "first");
    put(memory_, 5 * page_size, std::string(3 * page_size, 'x'));
    put(memory_, 7 * page_size, std::string(page_size, '\0'));  // written, and zero
    put(memory_, memory_pages * page_size - 1, "!");
    const auto state = *sys::memory_file("state", "what QEMU says");
    ASSERT_TRUE(write_saved(folder_.get(), memory_.get(), state.get()));
  }

  void TearDown() override { (void)sys::remove_tree(AT_FDCWD, path_); }

  static UniqueFd empty_memory() {
    UniqueFd fd(::memfd_create("memory", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), memory_pages * page_size), 0);
    return fd;
  }

  static void put(const UniqueFd& fd, std::uint64_t at, const std::string& bytes) {
    EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(bytes.size()));
  }

  std::string path_of(const char* name) const { return path_ + "/" + name; }

  static std::string all(int fd) {
    std::string out(memory_pages * page_size, '\0');
    EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
    return out;
  }

  Saved opened() const {
    Saved saved{*sys::open(path_of(map_name), O_RDONLY),
                *sys::open(path_of(pages_name), O_RDONLY),
                *sys::open(path_of(state_name), O_RDONLY),
                {},
                {},
                {}};
    saved.map_sha256 = *sha256_hex_of(saved.map.get(), 1 << 20);
    saved.pages_sha256 = *sha256_hex_of(saved.pages.get(), 1 << 20);
    saved.state_sha256 = *sha256_hex_of(saved.state.get(), 1 << 20);
    return saved;
  }

  std::string path_;
  UniqueFd folder_, memory_;
};

TEST_F(SavedMachine, ComesBackAsItWas) {
  const UniqueFd copy = empty_memory();
  const auto state = read_saved(opened(), copy.get(), memory_pages * page_size);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(*sys::read_all(state->get(), 100, "state"), "what QEMU says");
  EXPECT_EQ(all(copy.get()), all(memory_.get()));
  struct stat st{};
  ASSERT_EQ(::stat(path_of(pages_name).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, static_cast<off_t>(4 * page_size)) << "what is zero is not saved";
}

TEST_F(SavedMachine, EveryByteIsLookedAt) {
  for (const char* name : {map_name, pages_name, state_name}) {
    const Saved saved = opened();
    const UniqueFd file = *sys::open(path_of(name), O_RDWR);
    struct stat st{};
    ASSERT_EQ(::fstat(file.get(), &st), 0);
    for (const off_t at : {off_t{0}, st.st_size / 2, st.st_size - 1}) {
      char byte = 0;
      ASSERT_EQ(::pread(file.get(), &byte, 1, at), 1);
      put(file, static_cast<std::uint64_t>(at), std::string(1, static_cast<char>(byte ^ 1)));
      for (const auto& one : {saved.map.get(), saved.pages.get(), saved.state.get()}) ::lseek(one, 0, SEEK_SET);
      EXPECT_FALSE(read_saved(saved, empty_memory().get(), memory_pages * page_size)) << name << " at " << at;
      put(file, static_cast<std::uint64_t>(at), std::string(1, byte));
    }
  }
}

// Also where the digest is right: it says who wrote it, and not that it makes sense.
TEST_F(SavedMachine, MapsThatMakeNoSense) {
  const auto map_of = [](std::initializer_list<std::uint64_t> numbers) {
    std::string out;
    for (const std::uint64_t number : numbers) {
      for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(number >> (8 * i) & 0xff));
    }
    return out;
  };
  for (const std::string& map :
       {map_of({0, 1, 1}), map_of({memory_pages, 1}), map_of({memory_pages - 1, 2}), map_of({~0ULL, 1}),
        map_of({1, ~0ULL}), map_of({0, 0}), map_of({5, 1, 5, 1}), map_of({5, 2, 6, 1}), map_of({5, 1, 1, 1}),
        map_of({0, 3}), map_of({0, 5}), std::string()}) {
    Saved saved = opened();
    saved.map = *sys::memory_file("map", map);
    saved.map_sha256 = sha256_hex(map);
    EXPECT_FALSE(read_saved(saved, empty_memory().get(), memory_pages * page_size));
  }
}

TEST_F(SavedMachine, NoFileIsWrittenOver) {
  const auto state = *sys::memory_file("state", "x");
  EXPECT_FALSE(write_saved(folder_.get(), memory_.get(), state.get()));
}

}  // namespace
}  // namespace bulkhead::tier::vm
