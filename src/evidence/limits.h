// What an event may be, agreed between the client side and the writer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>

namespace bulkhead::evidence {

inline constexpr int schema_version = 1;

// Set by the writer alone (and `sync`, which is the protocol's), whatever a source says. `type` is the
// source's, but never one of its fields.
inline constexpr std::array<std::string_view, 7> reserved_keys = {"v",      "seq",  "time", "session",
                                                                  "source", "type", "sync"};

inline constexpr std::size_t max_line = 64 * 1024;         // with its newline
inline constexpr std::size_t max_event = max_line - 1024;  // what a source sends; the rest is the writer's head
inline constexpr int max_depth = 16;                       // of nested JSON in an event

inline constexpr std::size_t reserve = 64 * 1024;  // bytes kept back for the end of a full disk
inline constexpr std::chrono::milliseconds commit_interval{200};

// After a turn that took everything there was, the sources but the supervisor are left alone for this long: a writer
// that is woken by every event of a busy gateway costs each of its requests more than the event does. What they have
// sent is with the kernel meanwhile, also if they die. A line's time is at most this much late.
inline constexpr std::chrono::milliseconds gather_interval{2};

// One source may not fill the disk or starve the others: beyond this its socket is not read, so it waits.
inline constexpr double events_per_second = 20'000;
inline constexpr double bytes_per_second = 8.0 * 1024 * 1024;

}  // namespace bulkhead::evidence
