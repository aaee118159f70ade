#include "trust/trust.h"

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::trust {
namespace {

std::string why_not(const Control& control, const Pinned* before) {
  if (!control.content.problem.empty()) return control.content.problem;
  if (before == nullptr) return "new";
  return before->same_as(control.content) ? "" : "changed";
}

}  // namespace

std::size_t Verdict::untrusted() const {
  return static_cast<std::size_t>(std::count_if(
      items.begin(), items.end(), [](const Item& item) { return !item.why.empty() && !item.control.dependency; }));
}

bool Verdict::anything() const {
  return !unseen.empty() ||
         std::any_of(items.begin(), items.end(), [](const Item& item) { return !item.control.dependency; });
}

bool Verdict::incomplete() const {
  return std::any_of(unseen.begin(), unseen.end(), [](const Unseen& one) { return one.path == "."; });
}

std::vector<std::string> Verdict::to_mask() const {
  std::vector<std::string> all;
  for (const Item& item : items) {
    if (!item.why.empty()) all.push_back(item.control.path);
  }
  for (const Unseen& one : unseen) {
    if (one.path == ".") return {"."};
    all.push_back(one.path);
  }
  std::sort(all.begin(), all.end());
  std::vector<std::string> out;
  for (std::string& path : all) {
    // With `a/` before everything in it, but perhaps not right before: `a-b` sorts between.
    const bool covered = std::any_of(
        out.begin(), out.end(), [&](const std::string& one) { return path == one || path.starts_with(one + "/"); });
    if (!covered) out.push_back(std::move(path));
  }
  return out;
}

Result<Catalogue> load_catalogue(const std::string& data, const std::string& config) {
  return Catalogue::load(data + "/control", config + "/control");
}

Result<Verdict> judge_project(int folder, const Catalogue& catalogue, const Project* pinned, Snapshot* snapshot,
                              Onlooker* onlooker) {
  if (snapshot != nullptr) {
    BH_TRY(snapshot->above, sys::path_of(folder));
  }
  BH_TRY(Found found, find_controls(folder, catalogue, {}, snapshot, onlooker));
  Verdict out;
  out.build_inputs = found.build_inputs;
  out.unseen = std::move(found.unseen);
  for (Control& control : found.controls) {
    Verdict::Item item;
    if (pinned != nullptr) {
      if (const auto at = pinned->files.find(control.path); at != pinned->files.end()) item.before = &at->second;
    }
    item.can_be_trusted = control.content.problem.empty();
    item.why = why_not(control, item.before);
    item.control = std::move(control);
    out.items.push_back(std::move(item));
  }
  std::sort(out.items.begin(), out.items.end(), [](const Verdict::Item& a, const Verdict::Item& b) {
    return std::pair(a.control.dependency, std::string_view(a.control.path)) <
           std::pair(b.control.dependency, std::string_view(b.control.path));
  });
  return out;
}

std::string untrusted_line(const Verdict& verdict, const std::string& path, bool hidden) {
  constexpr std::size_t named = 4;
  const std::string shown = escape_for_terminal(path, 200);
  if (verdict.incomplete()) {
    return shown + " could not be looked through for control files: " + verdict.unseen.front().why;
  }
  const std::size_t count = verdict.untrusted();
  if (count == 0) return "";
  std::vector<std::string> names;
  for (const Verdict::Item& item : verdict.items) {
    if (item.why.empty() || item.control.dependency) continue;
    if (names.size() == named) {
      names.emplace_back("…");
      break;
    }
    names.push_back(escape_for_terminal(item.control.path, 60) + (item.why == "changed" ? " (changed)" : ""));
  }
  return shown + " has " + std::to_string(count) + " control file" + (count == 1 ? "" : "s") + " nobody trusted" +
         (hidden ? (count == 1 ? ", hidden" : ", all hidden") : "") + ": " + join(names, ", ") +
         "; `bulkhead trust` shows what " + (count == 1 ? "it does" : "they do");
}

}  // namespace bulkhead::trust
