#include "trust/handoff.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "trust/content.h"
#include "trust/judge.h"
#include "trust/spelling.h"

namespace bulkhead::trust {
namespace {

// Folders in which the changes put what a repository has: forged, renamed or bare ones.
std::set<std::string> repositories(const std::vector<Change>& changes) {
  std::map<std::string, std::set<std::string>> held;
  for (const Change& change : changes) {
    if (!change.exists) continue;
    const std::vector<std::string> names = split(change.path, '/');
    std::string folder;
    for (const std::string& name : names) {
      const std::string known = folded(name);
      if (known == "head" || known == "objects" || known == "refs" || known == "commondir") held[folder].insert(known);
      folder += (folder.empty() ? "" : "/") + name;
    }
  }
  std::set<std::string> out;
  for (const auto& [folder, names] : held) {
    // HEAD alone is enough where the rest may be there already.
    if (names.contains("head")) out.insert(folder);
  }
  return out;
}

// `path` as it would be if the repository's folder were called .git; empty when it is not in it.
std::string as_in_git(const std::string& path, const std::string& repository) {
  if (repository.empty()) return ".git/" + path;
  return path.starts_with(repository + "/") ? ".git/" + path.substr(repository.size() + 1) : std::string();
}

std::vector<std::size_t> rules_for(const Catalogue& catalogue, const Change& change,
                                   const std::set<std::string>& repositories) {
  std::set<std::size_t> out;
  const auto add = [&](const std::string& path) {
    for (const std::size_t id : catalogue.matcher().match_path(path)) {
      if (!catalogue.excepted(id, path)) out.insert(id);
    }
  };
  add(change.path);
  if (!change.repository.empty()) add(as_in_git(change.path, change.repository));
  for (const std::string& one : repositories) {
    if (const std::string inside = as_in_git(change.path, one); !inside.empty()) add(inside);
  }
  return {out.begin(), out.end()};
}

// A link by whose name a pattern only begins: `.claude -> elsewhere`, `.venv/bin -> /tmp/x`.
std::vector<std::size_t> rules_begun(const Catalogue& catalogue, const std::string& path) {
  Matcher::Step step;
  for (const std::string& name : split(path, '/')) step = catalogue.matcher().step(step.below, folded(name));
  std::set<std::size_t> out;
  for (const Matcher::State& state : step.below) out.insert(catalogue.matcher().id_of(state));
  return {out.begin(), out.end()};
}

Content content_of(int fd, const std::string& link) {
  if (fd >= 0) return read_content(fd);
  Content out;
  out.kind = Content::Kind::link;
  out.target = link;
  return out;
}

struct Side {
  bool there = false;
  std::size_t rule = 0;
  std::vector<std::string> does;
};

Side judge_side(const Catalogue& catalogue, const std::vector<std::size_t>& rules, bool exists, int fd,
                const std::string& link) {
  Side out;
  if (!exists || rules.empty()) return out;
  const Content content = content_of(fd, link);
  if (content.kind == Content::Kind::link) {
    // What it leads to may be anything by the time somebody opens it.
    out.there = true;
    out.rule = *std::min_element(rules.begin(), rules.end(), [&](std::size_t a, std::size_t b) {
      return catalogue.rule(a).kind < catalogue.rule(b).kind;
    });
    out.does = {"is a link to " + link};
  } else {
    out.there = strongest(catalogue, rules, content, out.rule, out.does);
  }
  return out;
}

}  // namespace

std::vector<Handed> classify(const Catalogue& catalogue, const std::vector<Change>& changes) {
  const std::set<std::string> found = repositories(changes);
  std::vector<Handed> out;
  for (const Change& change : changes) {
    std::vector<std::size_t> rules = rules_for(catalogue, change, found);
    const bool linked = (change.exists && change.after < 0) || (change.existed && change.before < 0);
    if (linked) {
      for (const std::size_t id : rules_begun(catalogue, change.path)) rules.push_back(id);
    }
    const Side before = judge_side(catalogue, rules, change.existed, change.before, change.link_before);
    Side after = judge_side(catalogue, rules, change.exists, change.after, change.link_after);
    if (!before.there && !after.there) continue;
    Handed one;
    one.path = change.path;
    one.rule = after.there ? after.rule : before.rule;
    one.kind = catalogue.rule(one.rule).kind;
    one.added = !change.existed;
    one.removed = !change.exists;
    one.does = std::move(after.does);
    if (one.removed) one.does = {"is gone: what it set or held back is so no longer"};
    if (!one.removed && !after.there) one.does = {"does nothing any more"};
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(), [](const Handed& a, const Handed& b) {
    return std::pair(a.kind, std::string_view(a.path)) < std::pair(b.kind, std::string_view(b.path));
  });
  return out;
}

}  // namespace bulkhead::trust
