// A machine that was saved (template/): it has booted, its first program waits for the host's first word, and it has no
// network card, no folders and nothing of a session, because it was never given any. Sessions go on from a copy of it,
// so each has its own memory.
//
//   map     64-bit little-endian numbers in pairs: the first of so many pages of the machine's memory that are not zero
//   pages   those pages, 4096 bytes each, one after the other
//   state   all else of the machine, as QEMU saved it (its migration stream, without the memory)
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "policy/policy.h"
#include "tier/vm/find.h"

namespace bulkhead::tier::vm {

inline constexpr const char* saved_folder = "/saved";  // of the stage
inline constexpr const char* map_name = "map";
inline constexpr const char* pages_name = "pages";
inline constexpr const char* state_name = "state";
inline constexpr std::uint64_t page_size = 4096;

// What a session's machine is made of.
struct Size {
  std::uint64_t memory = 0;  // bytes, whole megabytes
  std::uint64_t processors = 1;
};
Size size_of(const Limits& limits);
// What one of this size is called among the templates.
std::string saved_name(const Size& size);

// What it depends on, by name (docs/formats.md).
Result<std::map<std::string, std::string>> saved_shape(const Parts& parts, bool kvm);

// Opened to be read, and the SHA-256 that each must have.
struct Saved {
  UniqueFd map, pages, state;
  std::string map_sha256, pages_sha256, state_sha256;
};

// `memory`: the machine's, a memory file. What is not zero goes into new files in `folder`.
Result<void> write_saved(int folder, int memory, int state);

// What is checked is what is used: the bytes are looked at on their way into `memory`, an empty memory file of
// `bytes`, and into the memory file that is the value, the state. An error: the files are not as they were made.
Result<UniqueFd> read_saved(const Saved& saved, int memory, std::uint64_t bytes);

}  // namespace bulkhead::tier::vm
