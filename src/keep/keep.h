// keep/: live folders that are served: mount mode `rw-no-delete`, in which what existed when the session began can't be
// lost, and `rw` with `protect`. In both, what the host's tools run or obey can't be changed.
//
// The workload sees such a folder through FUSE: a program outside (bulkhead-keep) does each operation on the host's
// folder. Before that the whole path is judged; and, where originals are kept, before the first operation that would
// lose something the original goes to the session's kept folder. That mirrors the mounted folder: an original stands
// there at the path it had, as itself.
//
//   place.h       finding a path beneath the folder: no link is followed, no mount crossed
//   protect.h     which names may not be touched
//   original.h    copying a file with all that belongs to it
//   mirror.h      the kept folder: files/, folders.jsonl, again-N/
//   keeper.h      which inode is whose, and what has to be kept before an operation
//   folder.h      the operations, by path
//   names.h       what the kernel was told: numbers and paths, and what it believes
//   watch.h       telling it when the host changed something (inotify)
//   filesystem.h  requests and answers (libfuse)
//   refusals.h    what was refused, told and counted
//   restore.h     what was kept, and bringing it back
//   keep_main.cc  bulkhead-keep itself
//
// What was not made through this mount is taken for an original: nothing hangs on clocks. A lost race with somebody on
// the host ends in an error for the workload, or in something being kept that need not be.
#pragma once
