// The TOML files that come with Bulkhead (presets, profiles, control files, what keys look like), parsed when it was
// built: every session reads some of them, and parsing takes longer than starting the sandbox does. Only the very same
// bytes are taken for a known text; a file that somebody edited is parsed like any other.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/toml.h"

namespace bulkhead {

// What parse_toml() makes of `text`, if it is one of those.
std::optional<TomlValue> shipped_toml(std::string_view text);
// All of them.
std::span<const std::string_view> shipped_toml_texts();

// A tree as bytes, and back. Written and read by the same build only.
std::string pack_toml(const TomlValue& value);
TomlValue unpack_toml(std::string_view bytes);

}  // namespace bulkhead
