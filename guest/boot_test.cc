#include "guest/boot.h"

#include <gtest/gtest.h>

namespace bulkhead::shim {
namespace {

Boot example() {
  Boot boot;
  boot.time = 1'795'000'000'123'456'789;
  boot.seed = std::string(seed_size - 1, 'x') + '\0';
  boot.root = "/root";
  boot.mounts = {{BootMount::Kind::memory, "", "/tmp", true, 1ULL << 40, 01777},
                 {BootMount::Kind::shown, "/mounts/0", "/home/me/work", true, 0, 0}};
  boot.program = {"/.bulkhead/shim", "3", "4"};
  boot.uid = 1000;
  boot.gid = 100;
  boot.files = 1ULL << 33;
  boot.record = true;
  return boot;
}

TEST(Boot, ArrivesAsItWasSaid) {
  const auto text = encode(example());
  ASSERT_TRUE(text);
  const auto back = decode_boot(*text);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, example());
}

TEST(Boot, NothingElseIsTaken) {
  const std::string text = *encode(example());
  for (std::size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(decode_boot(text.substr(0, i))) << i;
  EXPECT_FALSE(decode_boot(text + "x"));
  Boot boot = example();
  boot.seed.pop_back();
  EXPECT_FALSE(encode(boot));
  boot = example();
  boot.mounts[0].target = std::string("/a\0b", 4);
  EXPECT_FALSE(encode(boot));
  boot.mounts[0].target = std::string(max_boot, 'a');
  EXPECT_FALSE(encode(boot));
}

TEST(Time, NothingElseIsTaken) {
  const std::string text = encode_time(1'795'000'000'123'456'789);
  EXPECT_EQ(decode_time(text), 1'795'000'000'123'456'789U);
  for (std::size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(decode_time(text.substr(0, i))) << i;
  EXPECT_FALSE(decode_time(text + "x"));
  EXPECT_FALSE(decode_time(*encode(example())));
}

// Hostile: whoever took the machine's kernel over says it.
TEST(FromInit, NothingElseIsTaken) {
  for (const FromInit& one :
       {FromInit(Awake{}), FromInit(Booted{}), FromInit(Broken{"why"}), FromInit(Over{255}), FromInit(Asks{})}) {
    const auto back = decode_from_init(encode(one));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, one);
  }
  for (const char* text : {"", "A", "B", "AB", "A  ", "O", "O12", "X "}) EXPECT_FALSE(decode_from_init(text)) << text;
  EXPECT_FALSE(decode_from_init("E" + std::string(1001, 'x')));
}

}  // namespace
}  // namespace bulkhead::shim
