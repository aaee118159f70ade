// On the way out: which of a session's changes the host could execute or obey, who would, and when. What is visible to
// every session (build inputs) counts here too; so does what is newly executable in a folder that PATHs name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "trust/catalogue.h"

namespace bulkhead::trust {

// One change, as whoever compared the trees found it. The descriptors are regular files open for reading, or -1: the
// content of a link is its target.
struct Change {
  std::string path;  // relative to the mounted folder, as it is spelled there
  int before = -1, after = -1;
  std::string link_before, link_after;
  bool existed = false, exists = false;
  // A folder above this path is a repository by what it holds, as far as the caller knows (find.h does it by HEAD,
  // objects and refs): its path; empty = none. Those that the changes themselves show are found here.
  std::string repository;
};

struct Handed {
  std::string path;
  std::size_t rule = 0;
  Class kind = Class::build;
  bool added = false, removed = false;
  std::vector<std::string> does;  // hostile text; what it would do now, or that it is gone
};

// Those changes that need somebody's word, runs first, then instructs, then build; by path within each. A change counts
// if either side does: what is removed may have held something back. Files that can't be read or parsed count.
std::vector<Handed> classify(const Catalogue& catalogue, const std::vector<Change>& changes);

}  // namespace bulkhead::trust
