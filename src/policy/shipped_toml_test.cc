#include "policy/shipped_toml.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/sys.h"

namespace bulkhead {
namespace {

// All that a tree says.
std::string told(const TomlValue& value) {
  return pack_toml(value);
}

TEST(ShippedToml, IsWhatTheParserMakesOfEachFile) {
  std::size_t found = 0;
  for (const char* folder : {"/control", "/presets", "/profiles", "/secrets"}) {
    for (const auto& entry : std::filesystem::directory_iterator(BULKHEAD_SOURCE_DIR + std::string(folder))) {
      if (entry.path().extension() != ".toml") continue;
      const auto text = sys::read_file(entry.path(), max_toml_bytes);
      ASSERT_TRUE(text);
      const auto known = shipped_toml(*text);
      ASSERT_TRUE(known) << entry.path() << " is not among what was built in";
      // A line more, and it is parsed.
      ASSERT_FALSE(shipped_toml(*text + "\n"));
      const auto parsed = parse_toml(*text + "\n", "f");
      ASSERT_TRUE(parsed) << parsed.error().message;
      EXPECT_EQ(told(*known), told(*parsed)) << entry.path();
      ++found;
    }
  }
  EXPECT_EQ(found, shipped_toml_texts().size());
}

TEST(ShippedToml, EveryKindOfValueComesBack) {
  const auto value =
      parse_toml("a = -3\nb = 9223372036854775807\nc = [true, 'x', [], {y = 1.5}]\n[d.e]\nf = \"\\u0000\"\n", "f");
  ASSERT_TRUE(value) << value.error().message;
  const TomlValue back = unpack_toml(pack_toml(*value));
  EXPECT_EQ(told(back), told(*value));
  EXPECT_EQ(back.entries.front().value.integer, -3);
  EXPECT_EQ(back.entries.back().value.entries.front().value.entries.front().value.string, std::string(1, '\0'));
}

}  // namespace
}  // namespace bulkhead
