// Build tool: shipped_toml_gen OUT FILE… writes the texts of these files and their trees as C++ arrays.
#include <cstdio>
#include <string>
#include <vector>

#include "base/sys.h"
#include "policy/shipped_toml.h"

namespace {

using namespace bulkhead;

// In octal, so that no digit that follows belongs to it; a line break now and then, for those who open it.
std::string literal(std::string_view bytes) {
  std::string out = "std::string_view(\"";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char octal[8];
    std::snprintf(octal, sizeof octal, "\\%03o", static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
    out += octal;
    if (i % 32 == 31) out += "\"\n\"";
  }
  return out + "\", " + std::to_string(bytes.size()) + ")";
}

Result<void> write(const std::string& out, const std::vector<std::string>& files) {
  std::string texts, trees;
  for (const std::string& file : files) {
    BH_TRY(const std::string text, sys::read_file(file, max_toml_bytes));
    BH_TRY(const TomlValue value, parse_toml(text, file));
    texts += literal(text) + ",\n";
    trees += literal(pack_toml(value)) + ",\n";
  }
  return sys::write_file_atomically(out,
                                    "constexpr std::string_view texts[] = {\n" + texts +
                                        "};\nconstexpr std::string_view trees[] = {\n" + trees + "};\n",
                                    0644);
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return 2;
  const auto done = write(words[1], std::vector<std::string>(words + 2, words + count));
  if (!done) std::fprintf(stderr, "shipped_toml_gen: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
