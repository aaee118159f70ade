// Start-up touches far more of a program than serving does (OpenSSL's alone is megabytes). What was touched stays
// mapped and counts as the process's own until the kernel is short of memory.
#pragma once

namespace bulkhead {

// Unmaps the program's read-only pages; those that are needed again come back from the page cache, 64 KiB at a time.
// For a helper that has come up and now waits. Never fails: at worst nothing is released.
void release_startup_pages();

}  // namespace bulkhead
