#include "trust/handoff.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "trust/reader.h"
#include "trust/spelling.h"

namespace bulkhead::trust {
namespace {

using Clock = std::chrono::steady_clock;
using Side = Trees::Side;

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

bool repository_by(const std::vector<std::string>& names) {
  std::set<std::string> known;
  for (const std::string& name : names) known.insert(folded(name));
  return known.contains("head") &&
         ((known.contains("objects") && known.contains("refs")) || known.contains("commondir"));
}

struct Judged {
  bool there = false;  // and counts
  std::size_t rule = 0;
  std::vector<std::string> does;
  Fingerprint fingerprint;
  std::string problem;
};

class Classifier {
 public:
  Classifier(const Catalogue& catalogue, Trees& trees, const Surroundings& around, const HandoffLimits& limits)
      : catalogue_(catalogue), trees_(trees), limits_(limits), deadline_(Clock::now() + limits.time) {
    above_ = around.above;
    above_.erase(0, std::min(above_.find_first_not_of('/'), above_.size()));
    expected_ = catalogue.matcher().below(above_);
    in_git_ = catalogue.matcher().below(".git");
    for (const Surroundings::Alias& link : around.links) links_.emplace(link.leads_to, link.path);
  }

  void look(const Change& change, Classified& out) {
    if (makes_repository(change)) return awakening(change, out);
    if (change.folder) return;
    const std::vector<std::string> names = names_of(change.path);
    const std::vector<std::size_t> rules = rules_for(names);
    const std::vector<std::size_t> begun = begun_by(names);
    if (rules.empty() && begun.empty()) return;
    const Judged before = judge_side(change, Side::before, rules, begun);
    Judged after = judge_side(change, Side::after, rules, begun);
    if (change.exists && (!rules.empty() || after.fingerprint.kind == Fingerprint::Kind::link)) {
      out.judged[change.path] = after.fingerprint;
    }
    if (!before.there && !after.there) return;
    const bool known = after.problem.empty() && before.problem.empty();
    if (change.existed && change.exists && known && before.fingerprint == after.fingerprint) return;
    Handed one;
    one.path = change.path;
    one.rule = after.there ? after.rule : before.rule;
    one.kind = catalogue_.rule(one.rule).kind;
    one.added = !change.existed;
    one.removed = !change.exists;
    one.does = std::move(after.does);
    if (one.removed) one.does = {"is gone: what it set or held back is so no longer"};
    if (!one.removed && !after.there) one.does = {"does nothing any more"};
    one.before = before.fingerprint;
    one.after = after.fingerprint;
    one.problem = std::move(after.problem);
    one.packages = packages_of(change.path);
    out.handed.push_back(std::move(one));
  }

 private:
  void awakening(const Change& change, Classified& out) {
    Handed one;
    one.path = change.path;
    one.rule = catalogue_.matcher().id_of(in_git_.front());
    one.kind = Class::runs;
    one.added = true;
    one.does = {"makes its folder a repository: git takes config and hooks from what lies there already"};
    one.after.kind = Fingerprint::Kind::folder;
    if (!change.folder) one.after = fingerprint_of(trees_.read(change.path, Side::after));
    out.judged[change.path] = one.after;
    out.handed.push_back(std::move(one));
  }

  // Paths under which an entry is known: its own, as in a repository's folder, and by each link that leads to it or
  // above it.
  std::vector<std::string> names_of(const std::string& path) {
    std::vector<std::string> out{path};
    for (std::size_t end = path.size(); end != std::string::npos && end > 0; end = path.rfind('/', end - 1)) {
      const auto [first, last] = links_.equal_range(path.substr(0, end));
      for (auto link = first; link != last; ++link) out.push_back(link->second + path.substr(end));
    }
    // Each folder above it may be called anything and be a repository.
    for (std::size_t at = 0; at != std::string::npos;) {
      const std::string inside = path.substr(at);
      const std::string folder = at == 0 ? "" : path.substr(0, at - 1);
      if (git_means(inside) && is_repository(folder)) out.push_back(".git/" + inside);
      at = path.find('/', at);
      if (at != std::string::npos) ++at;
    }
    return out;
  }

  // Would git obey it, if the folder were one of a repository? Asked before looking: folders may be large.
  bool git_means(const std::string& inside) const {
    return !catalogue_.matcher().match_path(inside, in_git_).empty() &&
           !catalogue_.matcher().match_path(".git/" + inside).empty();
  }

  bool is_repository(const std::string& folder) {
    const auto known = repositories_.find(folder);
    if (known != repositories_.end()) return known->second;
    const bool is =
        repository_by(trees_.names(folder, Side::after)) || repository_by(trees_.names(folder, Side::before));
    return repositories_[folder] = is;
  }

  // Nothing in a folder acted, as it was none of git's; with this entry it is, and what was there before acts.
  bool makes_repository(const Change& change) {
    if (!change.exists || change.existed) return false;
    std::string folder;
    for (const std::string& name : split(change.path, '/')) {
      const std::string known = folded(name);
      if ((known == "head" || known == "objects" || known == "refs" || known == "commondir") && awakens(folder)) {
        return true;
      }
      folder = below(folder, name);
    }
    return false;
  }

  bool awakens(const std::string& folder) {
    const auto known = awakened_.find(folder);
    if (known != awakened_.end()) return known->second;
    const std::vector<std::string> before = trees_.names(folder, Side::before);
    const bool asleep = std::any_of(before.begin(), before.end(), [&](const std::string& name) {
      const Matcher::Step step = catalogue_.matcher().step(in_git_, folded(name), false);
      return !step.full.empty() || !step.below.empty();
    });
    const bool is = asleep && !repository_by(before) && repository_by(trees_.names(folder, Side::after));
    return awakened_[folder] = is;
  }

  std::vector<std::size_t> rules_for(const std::vector<std::string>& names) const {
    std::set<std::size_t> out;
    for (const std::string& name : names) {
      for (const std::size_t id : catalogue_.matcher().match_path(name, expected_)) {
        if (!catalogue_.excepted(id, below(above_, name))) out.insert(id);
      }
    }
    return {out.begin(), out.end()};
  }

  // A link by whose name a pattern only begins: `.claude -> elsewhere`, `.venv/bin -> /tmp/x`.
  std::vector<std::size_t> begun_by(const std::vector<std::string>& names) const {
    std::set<std::size_t> out;
    for (const std::string& name : names) {
      for (const Matcher::State& state : catalogue_.matcher().below(name, expected_)) {
        out.insert(catalogue_.matcher().id_of(state));
      }
    }
    return {out.begin(), out.end()};
  }

  Judged judge_side(const Change& change, Side side, const std::vector<std::size_t>& rules,
                    const std::vector<std::size_t>& begun) {
    Judged out;
    if (!(side == Side::before ? change.existed : change.exists)) return out;
    if (Clock::now() > deadline_ || files_ == limits_.files || bytes_ > limits_.bytes) {
      out.there = true;
      out.rule = strongest_of(rules.empty() ? begun : rules);
      out.problem = "was not looked into: too much was changed at once; apply a part of it";
      out.does = {out.problem};
      return out;
    }
    ++files_;
    const Content content = trees_.read(change.path, side);
    bytes_ += content.bytes.size();
    out.fingerprint = fingerprint_of(content);
    if (content.kind == Content::Kind::link) return judge_link(content, rules, begun, std::move(out));
    if (rules.empty()) return out;
    out.there = reader_.strongest(catalogue_, rules, content, out.rule, out.does);
    if (out.there && out.fingerprint.sha256.empty()) out.problem = content.problem;
    return out;
  }

  // What it leads to may be anything by the time somebody opens it.
  Judged judge_link(const Content& content, std::vector<std::size_t> rules, const std::vector<std::size_t>& begun,
                    Judged out) {
    out.there = true;
    if (!content.sha256.empty() && !content.folder && !rules.empty() &&
        reader_.strongest(catalogue_, rules, content, out.rule, out.does)) {
      return out;
    }
    rules.insert(rules.end(), begun.begin(), begun.end());
    out.rule = strongest_of(rules);
    out.does = {"is a link to " + content.target};
    return out;
  }

  std::size_t strongest_of(const std::vector<std::size_t>& rules) const {
    return *std::min_element(rules.begin(), rules.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(catalogue_.rule(a).kind, a) < std::pair(catalogue_.rule(b).kind, b);
    });
  }

  std::string packages_of(const std::string& path) const {
    for (std::size_t end = path.find('/'), from = 0; end != std::string::npos; end = path.find('/', from)) {
      if (catalogue_.is_dependency_folder(folded(path.substr(from, end - from)))) return path.substr(0, end);
      from = end + 1;
    }
    return "";
  }

  const Catalogue& catalogue_;
  Trees& trees_;
  std::multimap<std::string, std::string> links_;  // by what they lead to
  const HandoffLimits limits_;
  Reader reader_;
  const Clock::time_point deadline_;
  std::string above_;
  std::vector<Matcher::State> expected_, in_git_;
  std::map<std::string, bool> repositories_, awakened_;
  std::size_t files_ = 0, bytes_ = 0;
};

}  // namespace

Fingerprint fingerprint_of(const Content& content) {
  Fingerprint out;
  out.kind = content.kind == Content::Kind::link ? Fingerprint::Kind::link : Fingerprint::Kind::file;
  out.executable = content.executable;
  out.target = content.target;
  out.sha256 = content.sha256;
  return out;
}

Classified classify(const Catalogue& catalogue, const std::vector<Change>& changes, Trees& trees,
                    const Surroundings& around, const HandoffLimits& limits) {
  Classified out;
  Classifier classifier(catalogue, trees, around, limits);
  for (const Change& change : changes) classifier.look(change, out);
  std::sort(out.handed.begin(), out.handed.end(), [](const Handed& a, const Handed& b) {
    return std::pair(a.kind, std::string_view(a.path)) < std::pair(b.kind, std::string_view(b.path));
  });
  return out;
}

bool is_trusted(const Handed& handed, const Project* pinned) {
  if (pinned == nullptr || handed.after.kind != Fingerprint::Kind::file || handed.after.sha256.empty()) return false;
  const auto at = pinned->files.find(handed.path);
  if (at == pinned->files.end()) return false;
  const Pinned& known = at->second;
  return known.kind == Content::Kind::file && known.executable == handed.after.executable &&
         known.sha256 == handed.after.sha256;
}

}  // namespace bulkhead::trust
