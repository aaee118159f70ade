// Requests that a file server may well end of: chains of descriptors that make no sense, counts that run below zero, a
// protocol that begins twice. Each is one attempt, so that a test can go on behind the one that ended a session.
#pragma once

#include "turned/raw_report.h"

namespace bulkhead::turned {

// From attempt `first` on. Says `N begins: what` before each and `N came through` after it; `all` after the last.
void try_to_end_it(Fuse& fuse, Report& report, const Place& place, std::size_t first);

}  // namespace bulkhead::turned
