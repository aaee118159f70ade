// How handed files are told to a person: each by itself, but those in one folder of other people's packages
// (`node_modules` after an install: thousands) as one thing.
#pragma once

#include <string>
#include <vector>

#include "trust/handoff.h"

namespace bulkhead::handoff {

struct Item {
  std::string name;                // a path; of packages their folder's
  std::vector<std::size_t> files;  // places in the list that was given, in its order
  bool packages = false;
};

// `handed` in classify()'s order. Up to three files of a folder of packages stand by themselves.
std::vector<Item> items_of(const std::vector<const trust::Handed*>& handed);

// "added", "changed" or "removed"
const char* change_of(const trust::Handed& handed);

// "2 files the host may run were changed: .git/config (runs `./x` at every git status), package.json"; escaped, one
// line.
std::string summary_of(const std::vector<const trust::Handed*>& handed);

}  // namespace bulkhead::handoff
