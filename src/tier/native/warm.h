// A served folder (keep/) is slow where the kernel does not know it yet: each name is a question of its own to
// bulkhead-keep. A listing tells the kernel of a whole folder at once, names and attributes, and it believes that for
// a minute. So one confined process lists what is there while the workload starts.
#pragma once

#include <string>
#include <vector>

namespace bulkhead::tier::native {

// What is listed at most, of all folders together: the nearest to the top. Each costs the kernel about a kilobyte.
inline constexpr std::size_t most_warmed = 20'000;

// In the child that will exec bubblewrap, once the stage is made. `folders` are where the served mounts stand there.
// The process is this one's child, in its pid namespace; it ends by itself or with it. Nothing hangs on it: where it
// can't be, or can't be confined, the kernel asks later.
void warm(const std::vector<std::string>& folders);

}  // namespace bulkhead::tier::native
