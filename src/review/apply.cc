#include "review/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <ranges>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "review/stage.h"

namespace bulkhead::review {
namespace {

std::int64_t nanoseconds(const timespec& t) {
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

// A rename changes the ctime; nothing else of a mark does.
bool same_after_rename(const Mark& a, const Mark& b) {
  return a.inode == b.inode && a.size == b.size && a.mtime == b.mtime && a.mode == b.mode;
}

std::string shown(const std::string& path) {
  return "\"" + escape_for_terminal(path) + "\"";
}

class Applying {
 public:
  Applying(Review& review, Tree host, Tree upper, Journal journal)
      : review_(review), host_(std::move(host)), upper_(std::move(upper)), journal_(std::move(journal)) {}

  Result<void> prepare(const Chosen& chosen, const Judged& judged) {
    BH_CHECK(write_journal(review_, journal_));
    BH_CHECK(make_staging());
    BH_CHECK(try_exchange());
    Stage stage(host_, upper_, new_.get(), judged);
    BH_CHECK(plan(chosen, stage));
    BH_CHECK(stage.finish());
    std::vector<Step> closings;
    for (std::size_t i = 0; i < journal_.steps.size(); ++i) {
      Step& step = journal_.steps[i];
      if (step.what != Step::What::add && step.what != Step::What::replace) continue;
      const auto made = look_at(new_.get(), std::to_string(i));
      if (!made) return fail("what was prepared for " + shown(step.path) + " has gone");
      step.fresh = made->st_ino;
      const auto wanted = stage.closed().find(std::to_string(i));
      if (wanted != stage.closed().end()) closings.push_back(closing(step, *made, wanted->second));
    }
    std::ranges::move(closings, std::back_inserter(journal_.steps));
    return sync();
  }

  // All steps, from wherever a crash left them. After an error everything is as it was.
  Result<void> commit() {
    journal_.state = Journal::State::committing;
    if (auto written = write_journal(review_, journal_); !written) {
      BH_CHECK(clean());
      return written;
    }
    return forward();
  }

  Result<void> forward() {
    BH_CHECK(open_staging());
    auto done = [&]() -> Result<void> {
      for (std::size_t i = 0; i < journal_.steps.size(); ++i) BH_CHECK(step_forward(i));
      return sync();
    }();
    if (!done) {
      BH_CHECK(undo());
      return done;
    }
    journal_.state = Journal::State::done;
    BH_CHECK(write_journal(review_, journal_));
    return settle();
  }

  Result<void> undo() {
    BH_CHECK(open_staging());
    journal_.state = Journal::State::undoing;
    // It may be the disk that is full. Without this line a crash now is rolled forward, or taken back again.
    (void)write_journal(review_, journal_);
    std::vector<std::string> stuck;
    for (std::size_t i = journal_.steps.size(); i-- > 0;) {
      if (!step_back(i)) stuck.push_back(journal_.steps[i].path);
    }
    (void)sync();
    if (stuck.empty()) return clean();
    BH_CHECK(review_.remove("journal.json"));
    return fail("the host's " + shown(stuck.front()) + (stuck.size() > 1 ? " and others" : "") +
                " changed while the changes were being taken back; what was there before is kept in " +
                shown(review_.info().folder + "/" + journal_.staging));
  }

  Result<void> settle() {
    if (!journal_.whole) BH_CHECK(review_.settle({journal_.settled.begin(), journal_.settled.end()}));
    BH_CHECK(discard_staging());
    if (journal_.whole) return review_.erase();
    return review_.remove("journal.json");
  }

  // Nothing of the host's was touched, or all is back.
  Result<void> clean() {
    BH_CHECK(discard_staging());
    return review_.remove("journal.json");
  }

  // There is none any more once nothing of it is needed, whatever the journal says.
  bool has_staging() const { return look_at(host_.root(), journal_.staging).has_value(); }

 private:
  Result<void> make_staging() {
    if (::mkdirat(host_.root(), journal_.staging.c_str(), 0700) != 0) {
      return fail_errno("mkdir", review_.info().folder + "/" + journal_.staging, errno);
    }
    BH_TRY(const UniqueFd staging, host_.folder(journal_.staging));
    for (const char* name : {"new", "old"}) {
      if (::mkdirat(staging.get(), name, 0700) != 0) return fail_errno("mkdir", name, errno);
    }
    return open_staging();
  }

  // By a rename first: half of a staging folder would be taken for steps that are done.
  Result<void> discard_staging() {
    const std::string gone = journal_.staging + ".gone";
    BH_CHECK(erase_tree(host_.root(), gone));
    if (::renameat2(host_.root(), journal_.staging.c_str(), host_.root(), gone.c_str(), RENAME_NOREPLACE) != 0) {
      return errno == ENOENT ? Result<void>() : fail_errno("rename", journal_.staging, errno);
    }
    return erase_tree(host_.root(), gone);
  }

  Result<void> open_staging() {
    if (new_) return {};
    BH_TRY(new_, host_.folder(journal_.staging + "/new"));
    BH_TRY(old_, host_.folder(journal_.staging + "/old"));
    return {};
  }

  Result<void> try_exchange() const {
    for (const int folder : {new_.get(), old_.get()}) {
      BH_TRY(const UniqueFd file, sys::open_at(folder, "try", O_WRONLY | O_CREAT | O_EXCL, 0600));
    }
    const int tried = ::renameat2(new_.get(), "try", old_.get(), "try", RENAME_EXCHANGE);
    const int code = errno;
    for (const int folder : {new_.get(), old_.get()}) (void)::unlinkat(folder, "try", 0);
    if (tried == 0) return {};
    return fail("the file system of " + shown(review_.info().folder) +
                    " can't exchange two files in one step (renameat2: " + std::string(::strerrorname_np(code)) +
                    "), so nothing can be applied there all or nothing; copy what you want out of " +
                    shown(review_.path() + "/layers/upper"),
                code);
  }

  Result<void> sync() const {
    return ::syncfs(host_.root()) == 0 ? Result<void>() : fail_errno("syncfs", review_.info().folder, errno);
  }

  Result<void> plan(const Chosen& chosen, Stage& stage) {
    std::map<std::string, std::string> staged;  // an added folder -> its name in new/
    std::vector<Step> settings;
    std::vector<Step>& steps = journal_.steps;
    BH_TRY(const std::set<std::string> opened, open_folders(chosen));
    for (const Change* change : chosen.take) {
      Step step;
      step.path = change->path;
      if (change->before) step.before = mark_of(*change->before);
      journal_.settled.push_back(change->path);
      if (change->kind == Kind::removed) {
        step.what = Step::What::remove;
        step.folder = S_ISDIR(change->before->st_mode);
        steps.push_back(std::move(step));
        continue;
      }
      if (change->path == journal_.staging) return fail(shown(change->path) + " is a name of Bulkhead's own");
      if (change->kind != Kind::added && !change->content) {
        BH_CHECK(stage.check_mode(*change));
        step.what = Step::What::set;
        const mode_t kept =
            change->before->st_mode &
            (S_ISDIR(change->before->st_mode) ? S_ISUID | S_ISGID : (S_ISUID | S_ISGID) & change->after->st_mode);
        step.mode = (change->after->st_mode & 01777) | kept;
        step.mtime = nanoseconds(change->after->st_mtim);
        step.folder = S_ISDIR(change->before->st_mode);
        if (opened.contains(step.path)) step.before.mode |= S_IRWXU;  // as it is until then
        settings.push_back(std::move(step));
        continue;
      }
      const auto up = staged.find(parent_of(change->path));
      const bool in_staged = change->kind == Kind::added && up != staged.end();
      const std::string name = in_staged ? up->second + "/" + leaf(change->path) : std::to_string(steps.size());
      BH_CHECK(stage.make(*change, name));
      if (change->kind == Kind::added && S_ISDIR(change->after->st_mode)) staged[change->path] = name;
      if (in_staged) continue;
      step.what = change->kind == Kind::added ? Step::What::add : Step::What::replace;
      steps.push_back(std::move(step));
    }
    close_folders(chosen, settings);
    // What is set last is not changed by what happens beside it; inner folders before outer ones.
    std::ranges::move(settings | std::views::reverse, std::back_inserter(steps));
    return {};
  }

  // A folder of the user's that its owner may not write now has to be writable while names in it come and go, and while
  // it is moved itself (rename(2)). The first steps.
  Result<std::set<std::string>> open_folders(const Chosen& chosen) {
    std::set<std::string> seen, opened;
    for (const Change* change : chosen.take) {
      if (change->kind != Kind::added && !change->content) continue;
      std::vector<std::string> folders{parent_of(change->path)};
      if (change->kind == Kind::removed && S_ISDIR(change->before->st_mode)) folders.push_back(change->path);
      for (const std::string& path : folders) {
        if (path.empty() || !seen.insert(path).second) continue;
        BH_TRY(const std::optional<struct stat> st, host_.look(path));
        if (!st || !S_ISDIR(st->st_mode) || (st->st_mode & S_IRWXU) == S_IRWXU || st->st_uid != ::geteuid()) continue;
        Step step;
        step.what = Step::What::set;
        step.path = path;
        step.before = mark_of(*st);
        step.mode = (st->st_mode & 07777) | S_IRWXU;
        step.mtime = step.before.mtime;
        step.folder = true;
        journal_.steps.push_back(std::move(step));
        opened.insert(path);
      }
    }
    return opened;
  }

  // And as they were again, where they stay and nothing else is wanted of them.
  void close_folders(const Chosen& chosen, std::vector<Step>& settings) const {
    for (const Step& step : journal_.steps) {
      if (step.what != Step::What::set) break;
      const auto same = [&](const Step& other) { return other.path == step.path; };
      const bool goes = std::ranges::any_of(
          chosen.take, [&](const Change* c) { return c->kind == Kind::removed && c->path == step.path; });
      if (goes || std::ranges::any_of(settings, same)) continue;
      Step back = step;
      back.mode = step.before.mode & 07777;
      back.before.mode = step.mode;
      settings.push_back(std::move(back));
    }
  }

  // A folder that is to be read-only comes writable, because it is moved, and is closed at the end.
  static Step closing(const Step& add, const struct stat& made, mode_t wanted) {
    Step step;
    step.what = Step::What::set;
    step.path = add.path;
    step.before = mark_of(made);
    step.mode = (made.st_mode & 07777 & ~static_cast<mode_t>(S_IRWXU)) | (wanted & S_IRWXU);
    step.mtime = step.before.mtime;
    step.folder = true;
    return step;
  }

  static tl::unexpected<Error> changed(const Step& step) {
    return fail("the host's " + shown(step.path) + " has changed this moment; nothing was applied");
  }

  static Result<void> moved(const Step& step, int result) {
    if (result == 0) return {};
    if (errno == EEXIST) return changed(step);
    return fail_errno("rename", step.path, errno);
  }

  Result<void> step_forward(std::size_t i) const {
    const Step& step = journal_.steps[i];
    const std::string name = leaf(step.path), slot = std::to_string(i);
    // Done already? Asked first: the folder it was in may be gone, too.
    const auto fresh = look_at(new_.get(), slot);
    if (step.what == Step::What::remove && look_at(old_.get(), slot)) return {};
    if (step.what == Step::What::add && !fresh) return {};
    if (step.what == Step::What::replace && fresh && fresh->st_ino != step.fresh) return {};

    auto up = host_.parent(step.path);
    if (!up && step.what == Step::What::remove && up.error().code == ENOENT) return {};
    if (!up) return tl::unexpected(std::move(up).error().with(shown(step.path)));
    const auto now = look_at(up->get(), name);
    switch (step.what) {
      case Step::What::remove: {
        if (!now) return {};
        const bool same =
            step.folder ? now->st_ino == step.before.inode && S_ISDIR(now->st_mode) : mark_of(*now) == step.before;
        if (!same) return changed(step);
        BH_CHECK(moved(step, ::renameat2(up->get(), name.c_str(), old_.get(), slot.c_str(), RENAME_NOREPLACE)));
        return check_removed(step, slot) ? Result<void>() : changed(step);
      }
      case Step::What::replace: {
        if (!fresh || !now || mark_of(*now) != step.before) return changed(step);
        BH_CHECK(moved(step, ::renameat2(new_.get(), slot.c_str(), up->get(), name.c_str(), RENAME_EXCHANGE)));
        const auto out = look_at(new_.get(), slot);
        return out && same_after_rename(mark_of(*out), step.before) ? Result<void>() : changed(step);
      }
      case Step::What::add:
        return moved(step, ::renameat2(new_.get(), slot.c_str(), up->get(), name.c_str(), RENAME_NOREPLACE));
      case Step::What::set:
        if (!now || now->st_ino != step.before.inode) return changed(step);
        if (!step.folder && now->st_size != static_cast<off_t>(step.before.size)) return changed(step);
        return set(up->get(), step, step.mode, step.mtime);
    }
    return {};
  }

  bool check_removed(const Step& step, const std::string& slot) const {
    const auto out = look_at(old_.get(), slot);
    if (!out) return false;
    if (!step.folder) return same_after_rename(mark_of(*out), step.before);
    const auto folder = sys::open_at(old_.get(), slot, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!folder) return false;
    const auto names = sys::list_directory(folder->get());
    return names && names->empty();
  }

  static Result<void> set(int folder, const Step& step, std::uint32_t mode, std::int64_t mtime) {
    const std::string name = leaf(step.path);
    BH_TRY(const UniqueFd fd, sys::open_at(folder, name, O_PATH | O_NOFOLLOW));
    BH_TRY(const struct stat st, sys::stat_fd(fd.get(), step.path));
    if (st.st_ino != step.before.inode) return fail("the host's " + shown(step.path) + " has changed this moment");
    if (S_ISLNK(st.st_mode)) return {};
    if ((st.st_mode & 07777) != (mode & 07777) &&
        ::chmod(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), mode & 07777) != 0) {
      return fail_errno("chmod", step.path, errno);
    }
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT},
                                        timespec{mtime / 1'000'000'000LL, mtime % 1'000'000'000LL}};
    if (::utimensat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd.get())).c_str(), times.data(), 0) != 0) {
      return fail_errno("utimensat", step.path, errno);
    }
    return {};
  }

  // False: what was there can't be put back, because something else is.
  bool step_back(std::size_t i) const {
    const Step& step = journal_.steps[i];
    const std::string name = leaf(step.path), slot = std::to_string(i);
    const auto up = host_.parent(step.path);
    const auto now = up ? look_at(up->get(), name) : std::nullopt;
    switch (step.what) {
      case Step::What::remove:
        return !look_at(old_.get(), slot) ||
               (up && ::renameat2(old_.get(), slot.c_str(), up->get(), name.c_str(), RENAME_NOREPLACE) == 0);
      case Step::What::replace: {
        const auto out = look_at(new_.get(), slot);
        if (!out || out->st_ino == step.fresh) return true;
        return now && now->st_ino == step.fresh &&
               ::renameat2(new_.get(), slot.c_str(), up->get(), name.c_str(), RENAME_EXCHANGE) == 0;
      }
      case Step::What::add:
        // What was added and is somebody else's by now is his.
        if (look_at(new_.get(), slot) || !now || now->st_ino != step.fresh) return true;
        return ::renameat2(up->get(), name.c_str(), new_.get(), slot.c_str(), RENAME_NOREPLACE) == 0;
      case Step::What::set:
        if (now && now->st_ino == step.before.inode) (void)set(up->get(), step, step.before.mode, step.before.mtime);
        return true;
    }
    return true;
  }

  Review& review_;
  Tree host_, upper_;
  Journal journal_;
  UniqueFd new_, old_;
};

// One apply at a time in a folder, whichever review it is of.
Result<UniqueFd> lock_folder(const Review& review) {
  BH_TRY(UniqueFd folder, review.open_folder());
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail("something else is being applied to " + shown(review.info().folder) + "; try again");
  }
  return folder;
}

Result<Applying> begin(Review& review, Journal journal) {
  BH_TRY(UniqueFd host, review.open_folder());
  BH_TRY(UniqueFd upper, review.open_upper());
  return Applying(review, Tree(std::move(host)), Tree(std::move(upper)), std::move(journal));
}

}  // namespace

Result<void> apply(Review& review, const Chosen& chosen, const Judged& judged,
                   const std::function<Result<void>()>& ready) {
  if (!review.locked()) return fail("review " + review.info().id + " is in use");
  BH_TRY(const UniqueFd lock, lock_folder(review));
  Journal journal;
  journal.staging = ".bulkhead-apply-" + review.info().id;
  journal.whole = chosen.conflicts.empty() && chosen.held.empty() &&
                  std::ranges::none_of(chosen.left, [](auto* c) { return worth_keeping(*c); }) &&
                  std::ranges::none_of(chosen.refused, [](auto* c) { return worth_keeping(*c); });
  BH_TRY(Applying applying, begin(review, std::move(journal)));
  auto prepared = applying.prepare(chosen, judged);
  if (prepared) prepared = ready();
  if (!prepared) {
    BH_CHECK(applying.clean());
    return prepared;
  }
  return applying.commit();
}

Result<Recovered> recover(Review& review) {
  BH_TRY(std::optional<Journal> journal, read_journal(review));
  if (!journal) return Recovered{};
  if (!review.locked()) return fail("review " + review.info().id + " is in use");
  const std::string id = review.info().id;
  BH_TRY(const UniqueFd lock, lock_folder(review));
  const Journal::State state = journal->state;
  const bool whole = journal->whole;
  BH_TRY(Applying applying, begin(review, std::move(*journal)));
  if ((state == Journal::State::committing || state == Journal::State::undoing) && !applying.has_staging()) {
    BH_CHECK(applying.clean());
    return Recovered{"an apply of review " + id + " that could not be completed was taken back"};
  }
  switch (state) {
    case Journal::State::preparing:
      BH_CHECK(applying.clean());
      return Recovered{"an apply of review " + id + " was interrupted before it changed anything; apply it again"};
    case Journal::State::committing:
      BH_CHECK(applying.forward());
      return Recovered{"an apply of review " + id + " was interrupted; it is complete now", whole};
    case Journal::State::undoing:
      BH_CHECK(applying.undo());
      return Recovered{"an apply of review " + id + " that could not be completed is taken back now"};
    case Journal::State::done:
      BH_CHECK(applying.settle());
      return Recovered{"an apply of review " + id + " was complete; what was left of it is removed", whole};
  }
  return Recovered{};
}

}  // namespace bulkhead::review
