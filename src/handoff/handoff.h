// handoff/: what a session leaves that the host could execute or obey, before the host does. Which files those are, and
// what they would do, is said by trust/handoff.h; this folder knows where the two sides of a change are, and keeps what
// somebody said to it.
//
//   gate.h    mode review: the changes that `bulkhead apply` holds until somebody says yes, and the yeses so far
//   live.h    modes rw and rw-no-delete: what sessions changed in a folder, kept until somebody has looked at it
//   watch.h   a session's part in that: what was there when it began, and what it says when it has ended
//   items.h   how it is told: many files of one folder of packages are one thing to say yes to
//   events.h  what of it is evidence
//
// A yes is to a content (trust::Fingerprint), never to a name. Everything that comes out of here (paths, lines, texts)
// is a workload's: escape_for_terminal before a person sees it.
#pragma once
