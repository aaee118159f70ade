#include "trust/find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "base/sys.h"
#include "trust/reader.h"
#include "trust/spelling.h"

namespace bulkhead::trust {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t one_name = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

struct Entry {
  std::string name, folded;
  unsigned char type;
};

Result<std::vector<Entry>> read_entries(int folder, std::size_t most) {
  BH_TRY(UniqueFd listing, sys::open_at(folder, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listing.get()), ::closedir);
  if (!stream) return fail_errno("fdopendir", "", errno);
  listing.release();
  std::vector<Entry> out;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (out.size() == most) return fail("too many", EFBIG);
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN) {
      struct stat st{};
      if (::fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) type = IFTODT(st.st_mode);
    }
    out.push_back({std::string(name), folded(name), type});
    errno = 0;
  }
  if (errno != 0) return fail_errno("readdir", "", errno);
  return out;
}

class Walk {
 public:
  Walk(int root, const Catalogue& catalogue, const FindLimits& limits, Snapshot* snapshot, Onlooker* onlooker)
      : root_(root),
        catalogue_(catalogue),
        limits_(limits),
        snapshot_(snapshot),
        onlooker_(onlooker),
        deadline_(Clock::now() + limits.time) {}

  struct Place {
    std::string path;                   // of the folder; empty is the project's own
    std::vector<Matcher::State> state;  // what the catalogue's patterns expect in it
    std::size_t depth = 0;
    bool dependency = false;
    bool behind_link = false;              // reached through a link: only what the link's name begins is looked for
    std::vector<Matcher::State> by_above;  // as `state`, by what the project's own path begins (Snapshot::above)
    bool heard = false;                    // by the onlooker
  };

  Place top() const {
    Place out;
    out.heard = onlooker_ != nullptr && onlooker_->enters(root_, "", 0);
    if (snapshot_ != nullptr) out.by_above = catalogue_.matcher().below(snapshot_->above);
    return out;
  }

  Result<void> folder(int fd, Place place) {
    if (stopped_) return {};
    if (Clock::now() > deadline_) {
      stop("looking at it took longer than " + std::to_string(limits_.time.count() / 1000) + " s");
      return {};
    }
    BH_TRY(const std::vector<Entry> entries, read_entries(fd, limits_.entries - out_.entries));
    out_.entries += entries.size();
    if (is_repository(entries)) {
      // Bare repositories, git's folders for submodules and worktrees, a renamed .git: git obeys them as `.git`.
      for (const Matcher::State& more : catalogue_.matcher().step({}, ".git").below) place.state.push_back(more);
      if (snapshot_ != nullptr) snapshot_->repositories.insert(place.path);
    }
    for (const Entry& entry : entries) {
      if (stopped_) return {};
      this->entry(fd, place, entry);
    }
    return {};
  }

  void stop(const std::string& why) {
    stopped_ = true;
    out_.unseen = {{".", why}};
    if (onlooker_ != nullptr) onlooker_->incomplete();
  }

  Found finish() {
    const auto by_path = [](const auto& a, const auto& b) { return a.path < b.path; };
    std::sort(out_.controls.begin(), out_.controls.end(), by_path);
    std::sort(out_.unseen.begin(), out_.unseen.end(), by_path);
    if (snapshot_ != nullptr) {
      for (const Unseen& one : out_.unseen) {
        struct stat st{};
        const auto there =
            sys::open_at2(root_, one.path, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
        if (one.path == "." || !there || ::fstat(there->get(), &st) != 0) st = {};
        snapshot_->unseen[one.path] = {snapshot_mark(st), one.why};
      }
    }
    return std::move(out_);
  }

 private:
  static bool is_repository(const std::vector<Entry>& entries) {
    const auto holds = [&](std::string_view name) {
      return std::any_of(entries.begin(), entries.end(), [&](const Entry& e) { return e.folded == name; });
    };
    return holds("head") && ((holds("objects") && holds("refs")) || holds("commondir"));
  }

  void entry(int fd, const Place& place, const Entry& entry) {
    const Matcher::Step step = catalogue_.matcher().step(place.state, entry.folded, !place.behind_link);
    const std::string path = place.path.empty() ? entry.name : place.path + "/" + entry.name;
    if (place.heard && entry.type == DT_REG) onlooker_->file(entry.name, path);
    Matcher::Step more;  // for the snapshot alone
    if (!place.by_above.empty()) more = catalogue_.matcher().step(place.by_above, entry.folded, false);
    if (entry.type == DT_DIR) return below(fd, place, entry, path, step, more);
    const bool leads_on = entry.type == DT_LNK && !step.below.empty();
    if (step.full.empty() && more.full.empty() && !leads_on) return;
    Snapshot::Entry* noted = note(fd, place, entry, path, step, more, leads_on);
    if (step.full.empty() && !leads_on) return;
    candidate(fd, place, entry, path, step, noted);
  }

  // Nothing but its mark so far; nullptr: it is not looked for.
  Snapshot::Entry* note(int fd, const Place& place, const Entry& entry, const std::string& path,
                        const Matcher::Step& step, const Matcher::Step& more, bool leads_on) {
    if (snapshot_ == nullptr) return nullptr;
    const auto any = [&](const std::vector<std::size_t>& ids, const std::string& whole) {
      return std::any_of(ids.begin(), ids.end(), [&](std::size_t id) { return !catalogue_.excepted(id, whole); });
    };
    const bool wanted = leads_on || any(step.full, path) || any(more.full, snapshot_->above + "/" + path);
    struct stat st{};
    if (!wanted || ::fstatat(fd, entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return nullptr;
    Snapshot::Entry& noted = snapshot_->entries[path];
    noted.mark = snapshot_mark(st);
    if (snapshot_->entries.size() > limits_.noted) stop("what could act in it is more than can be looked at");
    // What builds run is read only where it is this project's own, and only for the difference that is shown later.
    const std::vector<std::size_t>& ids = step.full.empty() ? more.full : step.full;
    const bool builds =
        std::all_of(ids.begin(), ids.end(), [&](std::size_t id) { return catalogue_.rule(id).kind == Class::build; });
    const bool small = static_cast<std::uint64_t>(st.st_size) <= std::min(max_snapshot_text, room_);
    if (builds && !place.dependency && builds_read_ < limits_.builds_read &&
        ((S_ISREG(st.st_mode) && small) || S_ISLNK(st.st_mode))) {
      ++builds_read_;
      noted.take(read_content(root_, fd, place.path, entry.name), true, false, room_);
    }
    return &noted;
  }

  void below(int fd, const Place& place, const Entry& entry, const std::string& path, const Matcher::Step& step,
             const Matcher::Step& more) {
    if (place.behind_link && step.below.empty()) return;
    if (place.depth == limits_.depth) {
      out_.unseen.push_back({path, "deeper than " + std::to_string(limits_.depth) + " folders"});
      return;
    }
    auto child = sys::open_at2(fd, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, one_name);
    if (!child && child.error().code == ENOENT) return;  // gone meanwhile
    const bool dependency = place.dependency || catalogue_.is_dependency_folder(entry.folded);
    const bool heard = place.heard && child && onlooker_->enters(child->get(), entry.name, place.depth + 1);
    auto done = child ? folder(child->get(),
                               {path, step.below, place.depth + 1, dependency, place.behind_link, more.below, heard})
                      : Result<void>(tl::unexpected(child.error()));
    if (done) return;
    const int code = done.error().code;
    if (code == EFBIG) return stop("it holds more than " + std::to_string(limits_.entries) + " files");
    out_.unseen.push_back({path, code == EACCES || code == EPERM    ? "can't be read (no permission)"
                                 : code == ELOOP || code == ENOTDIR ? "changed while it was looked at"
                                                                    : done.error().message});
  }

  void candidate(int fd, const Place& place, const Entry& entry, const std::string& path, const Matcher::Step& step,
                 Snapshot::Entry* noted) {
    std::vector<std::size_t> rules;
    for (const std::size_t id : step.full) {
      if (catalogue_.excepted(id, path)) continue;
      if (catalogue_.rule(id).kind == Class::build) {
        ++out_.build_inputs;
        continue;
      }
      rules.push_back(id);
    }
    const bool leads_on = entry.type == DT_LNK && !step.below.empty();
    if (rules.empty() && !leads_on) return;
    Control control;
    control.path = path;
    control.dependency = place.dependency;
    control.content = read_content(root_, fd, place.path, entry.name);
    bytes_ += control.content.bytes.size();
    if (bytes_ > limits_.bytes || out_.controls.size() == limits_.controls) {
      return stop("its control files are more than can be looked at");
    }
    if (place.behind_link && control.content.kind == Content::Kind::link && control.content.problem.empty()) {
      control.content.problem = "is a link behind a link";
    }
    if (rules.empty()) {
      if (noted != nullptr) noted->take(control.content, true, false, room_);
      return link_to_folder(place, path, step, std::move(control));
    }
    const bool counts = reader_.strongest(catalogue_, rules, control.content, control.rule, control.does);
    if (noted != nullptr) {
      const bool secret = std::any_of(rules.begin(), rules.end(), [&](auto id) { return catalogue_.rule(id).secret; });
      noted->take(control.content, counts, secret, room_);
    }
    if (counts) {
      control.kind = catalogue_.rule(control.rule).kind;
      out_.controls.push_back(std::move(control));
    }
  }

  // `.claude -> shared/claude`: what lies there acts as if it lay here.
  void link_to_folder(const Place& place, const std::string& path, const Matcher::Step& step, Control control) {
    const std::size_t begun = begun_by(step);
    const Rule& rule = catalogue_.rule(begun);
    // A link that leads to a file of the project begins nothing; where it leads nowhere or out, it may later.
    if (control.content.problem.empty() && !control.content.folder) return;
    if (control.content.folder && !place.behind_link) {
      const std::size_t before = out_.controls.size();
      auto there = sys::open_at2(root_, path, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
      auto done = there ? folder(there->get(), {path, step.below, place.depth + 1, place.dependency, true, {}, false})
                        : Result<void>(tl::unexpected(there.error()));
      if (!done) out_.unseen.push_back({path, "leads to a folder that can't be read"});
      if (out_.controls.size() == before) return;  // nothing there acts
    } else if (rule.kind == Class::build) {
      return;
    }
    control.rule = begun;
    control.kind = rule.kind == Class::build ? Class::runs : rule.kind;
    control.does = {"is a link: what lies behind it acts as " + rule.patterns.front()};
    if (!control.content.problem.empty()) control.does.push_back(control.content.problem);
    out_.controls.push_back(std::move(control));
  }

  std::size_t begun_by(const Matcher::Step& step) const {
    std::size_t best = catalogue_.matcher().id_of(step.below.front());
    for (const Matcher::State& state : step.below) {
      const std::size_t id = catalogue_.matcher().id_of(state);
      if (catalogue_.rule(id).kind < catalogue_.rule(best).kind) best = id;
    }
    return best;
  }

  int root_;
  const Catalogue& catalogue_;
  FindLimits limits_;
  Snapshot* snapshot_;
  Onlooker* onlooker_;
  Reader reader_;
  Clock::time_point deadline_;
  Found out_;
  std::size_t bytes_ = 0, builds_read_ = 0, room_ = max_snapshot_texts;
  bool stopped_ = false;
};

}  // namespace

Result<Found> find_controls(int folder, const Catalogue& catalogue, const FindLimits& limits, Snapshot* snapshot,
                            Onlooker* onlooker) {
  BH_TRY(const UniqueFd root, sys::open_at(folder, ".", O_RDONLY | O_DIRECTORY));
  Walk walk(root.get(), catalogue, limits, snapshot, onlooker);
  if (auto done = walk.folder(root.get(), walk.top()); !done) {
    if (done.error().code != EFBIG) return tl::unexpected(std::move(done).error());
    walk.stop("it holds more than " + std::to_string(limits.entries) + " files");
  }
  return walk.finish();
}

}  // namespace bulkhead::trust
