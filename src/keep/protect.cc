#include "keep/protect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/sys.h"
#include "base/text.h"
#include "trust/spelling.h"

namespace bulkhead::keep {
namespace {

using trust::folded;
using trust::Matcher;
using trust::Pattern;
using States = std::vector<Matcher::State>;

constexpr std::size_t deepest = 512;
constexpr int links_followed = 40;                 // as the kernel does
constexpr std::int64_t coarse_clock = 20'000'000;  // files are stamped by a clock that may be that many ns late
constexpr std::array parts{"HEAD", "objects", "refs", "commondir"};  // of a repository (trust/find.cc)

struct Entry {
  std::string name;
  unsigned char type = DT_UNKNOWN;
};

Result<std::vector<Entry>> entries_of(int folder) {
  BH_TRY(UniqueFd listed, open_beneath(folder, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listed.get()), ::closedir);
  if (!stream) return fail_errno("fdopendir", "", errno);
  (void)listed.release();
  std::vector<Entry> out;
  errno = 0;
  while (const dirent* one = ::readdir(stream.get())) {
    const std::string_view name = one->d_name;
    if (name != "." && name != "..") {
      unsigned char type = one->d_type;
      struct stat st{};
      if (type == DT_UNKNOWN && ::fstatat(folder, one->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        type = IFTODT(st.st_mode);
      }
      out.push_back({std::string(name), type});
    }
    errno = 0;
  }
  if (errno != 0) return fail_errno("readdir", "", errno);
  return out;
}

std::string joined(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : std::string(folder) + "/" + std::string(name);
}

void merge(States& into, const States& more) {
  for (const Matcher::State& one : more) {
    if (std::find(into.begin(), into.end(), one) == into.end()) into.push_back(one);
  }
}

// By the names that are there, in the spelling they have or in any.
bool is_repository(const std::set<std::string>& names) {
  return names.contains("head") &&
         ((names.contains("objects") && names.contains("refs")) || names.contains("commondir"));
}

std::set<std::string> parts_in(const std::vector<Entry>& entries, bool any_spelling) {
  std::set<std::string> out;
  for (const Entry& one : entries) {
    for (const std::string_view part : parts) {
      if (any_spelling ? folded(one.name) == lower_ascii(part) : one.name == part) out.insert(lower_ascii(part));
    }
  }
  return out;
}

// The same of a folder on the disk, by the names git asks for: its file system says which spelling is which.
bool is_repository(int folder) {
  const auto holds = [&](const char* name) {
    struct stat st{};
    return ::fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  };
  return holds("HEAD") && ((holds("objects") && holds("refs")) || holds("commondir"));
}

std::int64_t nanoseconds(const timespec& at) {
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

std::pair<std::string_view, std::string> halves(std::string_view path) {
  const std::string_view folder = parent_of(path);
  return {folder, std::string(folder.empty() ? path : path.substr(folder.size() + 1))};
}

tl::unexpected<Error> refuse(const std::string& id) {
  return fail(id, EROFS);
}

}  // namespace

// What stands behind control files, when it was last looked for.
struct Protection::Behind {
  struct Target {
    std::size_t rule = 0;
    bool itself = false;  // the place as such is a control file
    States below;
  };
  std::map<std::string, Target, std::less<>> targets;     // where links lead, by folded path
  std::map<std::pair<dev_t, ino_t>, std::size_t> inodes;  // of control files with several names
};

namespace {

// How far the patterns have come at one folder.
struct At {
  std::string path;    // relative, as spelled
  std::string folded;  // the same, folded: where links lead is known so
  States state;
  // How far they have come if a folder above, or this one, is a repository. Seldom far, so that it is seldom looked up.
  struct Maybe {
    std::string repository;  // its path
    States state;
  };
  std::vector<Maybe> maybe;
};

}  // namespace

struct Protection::Rules {
  Matcher matcher, allowed;
  std::vector<std::string> ids;
  std::vector<Matcher> except;  // by rule
  States in_git, root;
  std::string base;

  std::mutex mutex;
  std::shared_ptr<const Behind> behind;
  std::int64_t looked_at = 0;

  bool is_allowed(std::string_view path) const {
    Matcher::Step step;
    for (const std::string& name : split(path, '/')) {
      step = allowed.step(step.below, folded(name));
      if (!step.full.empty()) return true;
    }
    return false;
  }
  bool is_excepted(std::size_t id, const std::string& path) const { return !except[id].match_path(path).empty(); }
};

// One look at one place, or at everything below one.
class Protection::Look {
 public:
  Look(const Rules& rules, const Tree& tree, const Behind& behind) : rules_(rules), tree_(tree), behind_(behind) {}

  At root() const {
    At at;
    at.state = rules_.root;
    at.maybe.push_back({"", rules_.in_git});
    return at;
  }

  At folder(std::string_view path) const {
    At at = root();
    if (path.empty()) return at;
    for (const std::string& name : split(path, '/')) at = below(at, name);
    return at;
  }

  At below(const At& at, const std::string& name) const {
    const std::string known = folded(name);
    At out{.path = joined(at.path, name),
           .folded = joined(at.folded, known),
           .state = rules_.matcher.step(at.state, known).below,
           .maybe = {}};
    for (const At::Maybe& one : at.maybe) {
      States state = rules_.matcher.step(one.state, known, false).below;
      if (!state.empty()) out.maybe.push_back({one.repository, std::move(state)});
    }
    out.maybe.push_back({out.path, rules_.in_git});
    if (const auto found = behind_.targets.find(out.folded); found != behind_.targets.end()) {
      merge(out.state, found->second.below);
    }
    return out;
  }

  // What is, or would be, called `name` in that folder. `is_link`: see protect.h.
  Result<void> judge(const At& at, const std::string& name, bool is_link) const {
    const std::string known = folded(name), path = joined(at.path, name);
    const Matcher::Step step = rules_.matcher.step(at.state, known);
    if (const auto id = counting(step, path, path, is_link)) return refuse(rules_.ids[*id]);
    if (const auto found = behind_.targets.find(joined(at.folded, known)); found != behind_.targets.end()) {
      if (found->second.itself && !rules_.is_allowed(path)) return refuse(rules_.ids[found->second.rule]);
    }
    for (const At::Maybe& one : at.maybe) {
      const std::string inside = one.repository.empty() ? path : path.substr(one.repository.size() + 1);
      const Matcher::Step as_git = rules_.matcher.step(one.state, known, false);
      const auto id = counting(as_git, path, ".git/" + inside, is_link);
      if (!id) continue;
      auto folder = open_beneath(tree_.root(), one.repository, O_PATH | O_DIRECTORY);
      // Nothing is there to be a repository; of a folder that is to come there, all_below() sees that itself.
      const int code = folder ? 0 : folder.error().code;
      if (code == ENOENT || code == ENOTDIR || code == ELOOP) continue;
      if (!folder) return tl::unexpected(std::move(folder).error());
      if (is_repository(folder->get())) return refuse(rules_.ids[*id]);
    }
    return {};
  }

  // All that is below the folder `fd`, which is at `was` and would be at `will`.
  Result<void> all_below(int fd, At was, At will, std::size_t depth) const {
    if (depth == deepest) return fail("folders too deep", ENAMETOOLONG);
    BH_TRY(const std::vector<Entry> entries, entries_of(fd));
    if (is_repository(parts_in(entries, true))) {
      merge(was.state, rules_.in_git);
      merge(will.state, rules_.in_git);
    }
    for (const Entry& one : entries) {
      BH_CHECK(judge(was, one.name, one.type == DT_LNK));
      BH_CHECK(judge(will, one.name, one.type == DT_LNK));
      if (one.type != DT_DIR) continue;
      auto child = open_beneath(fd, one.name, O_PATH | O_DIRECTORY);
      if (!child && child.error().code == ENOENT) continue;
      if (!child) return tl::unexpected(std::move(child).error());
      BH_CHECK(all_below(child->get(), below(was, one.name), below(will, one.name), depth + 1));
    }
    return {};
  }

  // `name` is about to be made in the folder: is that a repository then, and was none before?
  Result<void> completed(const At& at, const std::string& name) const {
    if (counts_as_git(at)) return {};
    BH_TRY(const UniqueFd folder, open_beneath(tree_.root(), at.path, O_PATH | O_DIRECTORY));
    if (is_repository(folder.get())) return {};
    BH_TRY(std::vector<Entry> entries, entries_of(folder.get()));
    entries.push_back({name, DT_REG});
    if (!is_repository(parts_in(entries, true))) return {};
    // In a spelling that this file system tells from git's, it can only be meant for another one.
    if (!is_repository(parts_in(entries, false))) return refuse("git-hooks");
    At will = at;
    merge(will.state, rules_.in_git);
    return all_below(folder.get(), at, std::move(will), 0);
  }

  // What stands behind control files: their inodes, and where links at their places lead.
  Result<std::shared_ptr<const Behind>> look_behind() const {
    auto out = std::make_shared<Behind>();
    std::vector<std::pair<std::string, Behind::Target>> links;
    behind_in(tree_.root(), root(), 0, *out, links);
    for (auto& [path, target] : links) {
      if (const std::string place = leads_to(path); !place.empty()) {
        out->targets.insert_or_assign(place, std::move(target));
      }
    }
    return out;
  }

 private:
  bool counts_as_git(const At& at) const {
    return std::ranges::all_of(
        rules_.in_git, [&](const Matcher::State& one) { return std::ranges::find(at.state, one) != at.state.end(); });
  }

  // The rule that protects `path`; `as` is how exceptions and permissions may be written, too.
  std::optional<std::size_t> counting(const Matcher::Step& step, const std::string& path, const std::string& as,
                                      bool is_link) const {
    std::optional<std::size_t> out;
    for (const std::size_t id : step.full) {
      if (!rules_.is_excepted(id, path) && !rules_.is_excepted(id, as)) out = id;
    }
    if (!out && is_link && !step.below.empty()) out = rules_.matcher.id_of(step.below.front());
    if (out && (rules_.is_allowed(path) || rules_.is_allowed(as))) out.reset();
    return out;
  }

  // What can't be read here can't be changed through us either.
  void behind_in(int fd, At at, std::size_t depth, Behind& out,
                 std::vector<std::pair<std::string, Behind::Target>>& links) const {
    const auto entries = entries_of(fd);
    if (!entries || depth == deepest) return;
    if (is_repository(parts_in(*entries, true))) merge(at.state, rules_.in_git);
    for (const Entry& one : *entries) {
      if (one.type == DT_DIR) {
        auto child = open_beneath(fd, one.name, O_PATH | O_DIRECTORY);
        if (child) behind_in(child->get(), below(at, one.name), depth + 1, out, links);
        continue;
      }
      const Matcher::Step step = rules_.matcher.step(at.state, folded(one.name));
      if (step.full.empty() && step.below.empty()) continue;
      const std::string path = joined(at.path, one.name);
      const auto id = counting(step, path, path, one.type == DT_LNK);
      if (!id) continue;
      if (one.type == DT_LNK) {
        links.emplace_back(path, Behind::Target{.rule = *id, .itself = !step.full.empty(), .below = step.below});
      } else {
        struct stat st{};
        if (::fstatat(fd, one.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink > 1) {
          out.inodes.emplace(std::pair(st.st_dev, st.st_ino), *id);
        }
      }
    }
  }

  // The folded path, in this folder, that a link leads to in the end; empty where it leads out. What is not there yet
  // counts, too.
  std::string leads_to(const std::string& link) const {
    std::vector<std::string> rest = split(link, '/'), done;
    std::reverse(rest.begin(), rest.end());
    for (int followed = 0; !rest.empty();) {
      const std::string name = std::move(rest.back());
      rest.pop_back();
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        if (done.empty()) return {};
        done.pop_back();
        continue;
      }
      done.push_back(name);
      auto place = tree_.find(join(done, "/"));
      if (!place) continue;  // not there: the rest is as it is written
      std::string target(4096, '\0');
      const ssize_t n = ::readlinkat(place->folder.get(), place->name.c_str(), target.data(), target.size());
      if (n < 0) continue;
      target.resize(static_cast<std::size_t>(n));
      if (++followed > links_followed) return {};
      done.pop_back();
      if (target.starts_with('/')) {
        if (!target.starts_with(rules_.base + "/")) return {};
        target.erase(0, rules_.base.size() + 1);
        done.clear();
      }
      std::vector<std::string> more = split(target, '/');
      rest.insert(rest.end(), more.rbegin(), more.rend());
    }
    for (std::string& name : done) name = folded(name);
    return join(done, "/");
  }

  const Rules& rules_;
  const Tree& tree_;
  const Behind& behind_;
};

Protection::Protection() = default;
Protection::Protection(Protection&&) noexcept = default;
Protection& Protection::operator=(Protection&&) noexcept = default;
Protection::~Protection() = default;

Result<Protection> Protection::make(const std::vector<ControlRule>& rules, const std::vector<std::string>& allowed,
                                    const std::string& base) {
  Protection out;
  out.rules_ = std::make_unique<Rules>();
  Rules& made = *out.rules_;
  for (const ControlRule& rule : rules) {
    const std::size_t id = made.ids.size();
    made.ids.push_back(rule.id);
    for (const std::string& text : rule.patterns) {
      BH_TRY(const Pattern pattern, Pattern::parse(text));
      made.matcher.add(pattern, id);
    }
    Matcher except;
    for (const std::string& text : rule.except) {
      BH_TRY(const Pattern pattern, Pattern::parse(text));
      except.add(pattern, id);
    }
    made.except.push_back(std::move(except));
  }
  for (const std::string& text : allowed) {
    BH_TRY(const Pattern pattern, Pattern::parse(text));
    made.allowed.add(pattern, 0);
  }
  made.in_git = made.matcher.step({}, ".git").below;
  made.base = base == "/" ? "" : base;
  for (const std::string& name : split(base, '/')) {
    if (!name.empty()) made.root = made.matcher.step(made.root, folded(name)).below;
  }
  return out;
}

bool Protection::on() const {
  return rules_ != nullptr;
}

bool Protection::completes(std::string_view name) {
  const std::string known = folded(name);
  return std::ranges::any_of(parts, [&](const char* part) { return known == lower_ascii(part); });
}

Result<std::shared_ptr<const Protection::Behind>> Protection::behind(const Tree& tree, std::int64_t since) const {
  const std::scoped_lock held(rules_->mutex);
  if (rules_->behind && rules_->looked_at > since) return rules_->behind;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const Behind none;
  BH_TRY(rules_->behind, Look(*rules_, tree, none).look_behind());
  rules_->looked_at = nanoseconds(now);
  return rules_->behind;
}

void Protection::look_again() const {
  if (!on()) return;
  const std::scoped_lock held(rules_->mutex);
  rules_->behind.reset();
}

void Protection::host_made(const Tree& tree, std::string_view path) const {
  if (!on()) return;
  const auto place = tree.find(path);
  const auto st = place ? look(*place) : Result<struct stat>(fail("gone", ENOENT));
  if (st && S_ISLNK(st->st_mode) && !entry(tree, path, true, false)) look_again();
}

Result<void> Protection::entry(const Tree& tree, std::string_view path, bool is_link, bool made) const {
  path = relative(path);
  if (!on() || path.empty()) return {};  // empty: the mounted folder itself
  BH_TRY(const std::shared_ptr<const Behind> known, behind(tree, 0));
  const Look look(*rules_, tree, *known);
  const auto [folder, name] = halves(path);
  const At at = look.folder(folder);
  BH_CHECK(look.judge(at, name, is_link));
  return made && completes(name) ? look.completed(at, name) : Result<void>();
}

Result<void> Protection::moved_folder(const Tree& tree, std::string_view from, std::string_view to) const {
  if (!on()) return {};
  BH_TRY(const std::shared_ptr<const Behind> known, behind(tree, 0));
  const Look look(*rules_, tree, *known);
  BH_TRY(const UniqueFd folder, open_beneath(tree.root(), std::string(relative(from)), O_PATH | O_DIRECTORY));
  return look.all_below(folder.get(), look.folder(relative(from)), look.folder(relative(to)), 0);
}

Result<void> Protection::file(const Tree& tree, const struct stat& st) const {
  if (!on() || !S_ISREG(st.st_mode) || st.st_nlink < 2) return {};
  // Another name of a file changes its ctime: of an older one the last look knows, whoever made the name.
  BH_TRY(const std::shared_ptr<const Behind> known, behind(tree, nanoseconds(st.st_ctim) + coarse_clock));
  const auto found = known->inodes.find(std::pair(st.st_dev, st.st_ino));
  return found == known->inodes.end() ? Result<void>() : refuse(rules_->ids[found->second]);
}

}  // namespace bulkhead::keep
