#include "policy/shipped_toml.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace bulkhead {
namespace {

// texts[i] and trees[i], made by shipped_toml_gen.cc.
#include "shipped_toml.inc"

static_assert(std::size(texts) == std::size(trees));

}  // namespace

std::optional<TomlValue> shipped_toml(std::string_view text) {
  const auto* const found = std::find(std::begin(texts), std::end(texts), text);
  if (found == std::end(texts)) return std::nullopt;
  return unpack_toml(trees[found - std::begin(texts)]);
}

std::span<const std::string_view> shipped_toml_texts() {
  return texts;
}

}  // namespace bulkhead
