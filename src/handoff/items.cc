#include "handoff/items.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace bulkhead::handoff {
namespace {

constexpr std::size_t told_alone = 3;
constexpr std::size_t named = 4;

}  // namespace

std::vector<Item> items_of(const std::vector<const trust::Handed*>& handed) {
  std::map<std::string, std::size_t> count;
  for (const trust::Handed* one : handed) ++count[one->packages];
  std::vector<Item> out;
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < handed.size(); ++i) {
    const std::string& folder = handed[i]->packages;
    if (folder.empty() || count[folder] <= told_alone) {
      out.push_back({handed[i]->path, {i}, false});
      continue;
    }
    const auto known = place.find(folder);
    if (known != place.end()) {
      out[known->second].files.push_back(i);
      continue;
    }
    place[folder] = out.size();
    out.push_back({folder, {i}, true});
  }
  return out;
}

const char* change_of(const trust::Handed& handed) {
  return handed.removed ? "removed" : handed.added ? "added" : "changed";
}

std::string summary_of(const std::vector<const trust::Handed*>& handed) {
  const auto is = [](trust::Class kind) { return [kind](const trust::Handed* one) { return one->kind == kind; }; };
  const auto obeyed = static_cast<std::size_t>(std::ranges::count_if(handed, is(trust::Class::instructs)));
  const char* what = obeyed == 0 ? "run" : obeyed == handed.size() ? "obey" : "run or obey";
  std::vector<std::string> names;
  const std::vector<Item> items = items_of(handed);
  for (const Item& item : items) {
    if (names.size() == named) {
      names.emplace_back("…");
      break;
    }
    std::string name = escape_for_terminal(item.name, 100);
    const trust::Handed& first = *handed[item.files.front()];
    if (item.packages) {
      name += "/ (" + std::to_string(item.files.size()) + " files)";
    } else if (!first.does.empty()) {
      name += " (" + escape_for_terminal(first.does.front(), 100) + ")";
    }
    names.push_back(std::move(name));
  }
  return std::to_string(handed.size()) + (handed.size() == 1 ? " file" : " files") + " the host may " + what +
         (handed.size() == 1 ? " was changed: " : " were changed: ") + join(names, ", ");
}

}  // namespace bulkhead::handoff
