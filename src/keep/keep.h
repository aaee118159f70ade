// keep/: mount mode `rw-no-delete`. What existed when the session began can't be lost.
//
// The workload sees such a folder through FUSE: a program outside (bulkhead-keep) does each operation on the host's
// folder, and before the first one that would lose something, the original goes to the session's kept folder. That
// mirrors the mounted folder: an original stands there at the path it had, as itself.
//
//   place.h       finding a path beneath the folder: no link is followed, no mount crossed
//   original.h    copying a file with all that belongs to it
//   mirror.h      the kept folder: files/, folders.jsonl, again-N/
//   keeper.h      which inode is whose, and what has to be kept before an operation
//   filesystem.h  the operations (libfuse)
//   restore.h     what was kept, and bringing it back
//   keep_main.cc  bulkhead-keep itself
//
// What was not made through this mount is taken for an original: nothing hangs on clocks. A lost race with somebody on
// the host ends in an error for the workload, or in something being kept that need not be.
#pragma once
