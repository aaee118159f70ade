// The JSON of the OCI image specification 1.0 (image-index.md, manifest.md, config.md), as far as it is needed here.
// Every word of it is a stranger's: what has another form is refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::image {

inline constexpr std::size_t max_json = 4U << 20;

struct Descriptor {
  std::string type;    // media type
  std::string digest;  // 64 hex digits of a SHA-256; nothing else is accepted
  std::uint64_t size = 0;
  std::string architecture, os;  // may be empty
  std::string name;              // org.opencontainers.image.ref.name
};

bool is_index(const Descriptor& descriptor);
bool is_manifest(const Descriptor& descriptor);

Result<std::vector<Descriptor>> read_index(std::string_view text);
// The one that is meant: by `name` where there is one, then by this machine's platform.
Result<Descriptor> choose(const std::vector<Descriptor>& from, const std::string& name);

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};
Result<Manifest> read_manifest(std::string_view text);

struct Config {
  std::map<std::string, std::string> environment;  // what can be no variable is left out
};
// Refused when it is for another platform.
Result<Config> read_config(std::string_view text);

// As images call it: "amd64", "arm64", …
std::string this_architecture();

// The index that an image of this one manifest has, named "image".
std::string index_for(const Descriptor& manifest);

}  // namespace bulkhead::image
