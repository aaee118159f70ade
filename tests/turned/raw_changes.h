// Each request that changes or reads files and that a kernel would not send, or would send otherwise.
#pragma once

#include "turned/raw_report.h"

namespace bulkhead::turned {

// A mount of the session's. The test has put the same into each: files `f00` and so on, `folder`, `empty`, control
// files, and links that lead to the test's secret.
struct Target {
  std::string called;
  Place place;
  std::uint64_t node = 0;
};

// Everything that changes a file, a folder, a control file or what a link leads to.
void change_everything(Fuse& fuse, Report& report, const Target& target);
// From one mount into the other: renaming, exchanging, linking, copying.
void cross(Fuse& fuse, Report& report, const Target& from, const Target& to);
// Up from there, and from the top to `secret`.
void climb(Fuse& fuse, Report& report, const Target& target, const Place& secret);
// Nodes, handles, opcodes and lengths that were never given, and INIT in the midst of it.
void make_up(Fuse& fuse, Report& report, const Target& target);

}  // namespace bulkhead::turned
