#include <algorithm>
#include <map>
#include <ranges>
#include <set>

#include "base/text.h"
#include "review/apply.h"

namespace bulkhead::review {
namespace {

bool wanted_at(const Wanted& wanted, const std::string& path) {
  return wanted.paths.empty() ||
         std::ranges::any_of(wanted.paths, [&](const std::string& one) { return at_or_below(path, one); });
}

// Something at or below `path` is in `set`.
bool holds(const std::set<std::string>& set, const std::string& path) {
  if (set.contains(path)) return true;
  const auto next = set.lower_bound(path + "/");
  return next != set.end() && next->starts_with(path + "/");
}

// A folder that was made for what is held alone comes with it.
void leave_empty_folders(Chosen& chosen) {
  std::set<std::string> held, needed;
  for (const Change* change : chosen.held) held.insert(change->path);
  std::vector<const Change*> take;
  for (const Change* change : chosen.take | std::views::reverse) {
    const bool made = change->kind == Kind::added && change->after && S_ISDIR(change->after->st_mode);
    if (made && !needed.contains(change->path) && holds(held, change->path)) {
      chosen.left.push_back(change);
      continue;
    }
    if (change->kind == Kind::added) needed.insert(parent_of(change->path));
    take.push_back(change);
  }
  std::ranges::reverse(take);
  chosen.take = std::move(take);
}

}  // namespace

Result<Chosen> choose(const Changes& changes, const Wanted& wanted) {
  for (const std::string& path : wanted.paths) {
    if (std::ranges::none_of(changes.list, [&](const Change& c) { return at_or_below(c.path, path); })) {
      return fail("nothing has changed at \"" + escape_for_terminal(path) + "\"");
    }
  }
  // What takes the place of a folder and is held holds all that the folder has: a part of it would be neither.
  const auto place_is_held = [&](const Change& change) {
    if (change.kind != Kind::removed) return false;
    for (std::string at = change.path; !at.empty(); at = parent_of(at)) {
      if (wanted.held.contains(at)) return true;
    }
    return false;
  };
  Chosen chosen;
  std::set<std::string> stays;  // removed by the workload, and not now on the host
  std::map<std::string, const Change*> addable;
  std::set<std::string> needed;  // folders for what is wanted in them
  for (const Change& change : changes.list) {
    if (change.kind == Kind::removed) {
      // A folder goes when all in it goes: what is in it came before it in the list.
      const bool take = change.refused.empty() && change.conflict.empty() && wanted_at(wanted, change.path) &&
                        wanted.deletes && !place_is_held(change) && !holds(stays, change.path);
      if (take) continue;
      stays.insert(change.path);
    } else if (change.kind == Kind::added) {
      const std::string up = parent_of(change.path);
      if (change.refused.empty() && change.conflict.empty() && !wanted.held.contains(change.path) &&
          !stays.contains(change.path)) {
        addable[change.path] = &change;
        if (!wanted_at(wanted, change.path)) continue;
        for (std::string at = up; !at.empty() && addable.contains(at); at = parent_of(at)) needed.insert(at);
      }
    }
  }
  std::set<std::string> blocked;  // added folders that don't come
  bool whole = true;
  for (const Change& change : changes.list) {
    const bool in_blocked = [&] {
      for (std::string at = parent_of(change.path); !at.empty(); at = parent_of(at)) {
        if (blocked.contains(at)) return true;
      }
      return false;
    }();
    const bool want = wanted_at(wanted, change.path) || (change.kind == Kind::added && needed.contains(change.path));
    if (!change.refused.empty()) {
      chosen.refused.push_back(&change);
    } else if (!change.conflict.empty()) {
      (want ? chosen.conflicts : chosen.left).push_back(&change);
    } else if (wanted.held.contains(change.path)) {
      (want ? chosen.held : chosen.left).push_back(&change);
    } else if (!want || in_blocked || (change.kind == Kind::removed && stays.contains(change.path)) ||
               (change.kind == Kind::added && stays.contains(change.path))) {
      chosen.left.push_back(&change);
    } else {
      chosen.take.push_back(&change);
      continue;
    }
    whole = false;
    if (change.kind == Kind::added) blocked.insert(change.path);
  }
  leave_empty_folders(chosen);
  // The times of a folder come to be by what happened in it; in part they would be wrong.
  if (!whole) {
    std::erase_if(chosen.take,
                  [](const Change* c) { return c->kind == Kind::touched && c->after && S_ISDIR(c->after->st_mode); });
  }
  return chosen;
}

}  // namespace bulkhead::review
