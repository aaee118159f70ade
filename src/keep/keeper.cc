#include "keep/keeper.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

constexpr int deepest = 512;  // folders in folders; a longer path than this many names no system call takes

// What a file system answers that can't do it, as opposed to one that mustn't or is full.
bool impossible(int code) {
  return code == EXDEV || code == EPERM || code == EMLINK || code == EOPNOTSUPP || code == EINVAL || code == ENOSYS;
}

bool holds(const std::vector<std::string>& kept, std::string_view path) {
  return std::any_of(kept.begin(), kept.end(), [&](const std::string& one) {
    const std::size_t slash = one.find('/');  // behind the generation
    return std::string_view(one).substr(slash + 1) == path;
  });
}

}  // namespace

Keeper::Keeper(Mirror mirror, std::uint64_t quota, std::function<void()> refused)
    : mirror_(std::move(mirror)), quota_(quota), refused_(std::move(refused)) {}

void Keeper::made(const struct stat& st) {
  remember(st, Inode{.own = true});
}

void Keeper::ended(const struct stat& st) {
  const std::scoped_lock held(mutex_);
  // Only of what is the workload's: of others it must stay known that they were kept, for those who have them open.
  const auto at = inodes_.find(key_of(st));
  if (at != inodes_.end() && at->second.own) inodes_.erase(at);
}

bool Keeper::free(const struct stat& st) {
  const Inode inode = known(st);
  return inode.own || (inode.done && !inode.shared);
}

Keeper::Inode Keeper::known(const struct stat& st) {
  const std::scoped_lock held(mutex_);
  const auto at = inodes_.find(key_of(st));
  return at == inodes_.end() ? Inode() : at->second;
}

void Keeper::remember(const struct stat& st, Inode inode) {
  const std::scoped_lock held(mutex_);
  inodes_.insert_or_assign(key_of(st), std::move(inode));
}

Result<void> Keeper::charge(const struct stat& st) {
  const std::uint64_t more = S_ISREG(st.st_mode) ? weight(st) : 0;
  if (used_.fetch_add(more) + more <= quota_) return {};
  used_.fetch_sub(more);
  if (!said_.exchange(true) && refused_) refused_();
  return fail("the quota for kept files is used up", EDQUOT);
}

Result<void> Keeper::folder(int fd, std::string_view path) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  const Inode inode = known(st);
  if (inode.own || inode.done) return {};
  // With O_PATH its attributes can't be read; who may not read the folder keeps it without.
  auto readable = open_beneath(fd, ".", O_RDONLY | O_DIRECTORY);
  BH_CHECK(mirror_.folder(readable ? readable->get() : fd, path));
  remember(st, Inode{.done = true});
  return {};
}

Result<void> Keeper::change_locked(const struct stat& st, std::string_view path,
                                   const std::function<Result<std::string>()>& copy) {
  Inode inode = known(st);
  if (inode.own || (inode.done && !inode.shared)) return {};
  if (!inode.done) {
    // Second names of it in the mirror are still the file itself.
    for (const std::string& kept : inode.kept) {
      BH_CHECK(charge(st));
      BH_CHECK(mirror_.separate(kept));
    }
  }
  const bool first = inode.kept.empty();
  if (first || (inode.shared && !inode.done && !holds(inode.kept, path))) {
    BH_CHECK(charge(st));
    BH_TRY(std::string kept, copy());
    inode.kept.push_back(std::move(kept));
  }
  if (first) inode.shared = st.st_nlink > 1;
  inode.done = true;
  remember(st, std::move(inode));
  return {};
}

Result<void> Keeper::change(const Place& place, std::string_view path) {
  BH_TRY(const struct stat st, look(place));
  if (S_ISDIR(st.st_mode)) {
    BH_TRY(const UniqueFd fd, open_beneath(place.folder.get(), place.name, O_PATH | O_DIRECTORY));
    return folder(fd.get(), path);
  }
  if (S_ISREG(st.st_mode)) {
    if (free(st)) return {};
    BH_TRY(const UniqueFd fd, open_beneath(place.folder.get(), place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    return change(fd.get(), path);
  }
  const std::scoped_lock held(stripe(st));
  return change_locked(st, path, [&] { return mirror_.copy(place, path); });
}

Result<void> Keeper::change(int fd, std::string_view path) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  const std::scoped_lock held(stripe(st));
  return change_locked(st, path, [&] { return mirror_.copy(fd, path); });
}

Result<void> Keeper::link_or_copy(const struct stat& st, const Place& place, std::string_view path) {
  Inode inode = known(st);
  if (inode.own) return {};
  if (!inode.kept.empty() && (!inode.shared || holds(inode.kept, path))) return {};
  if (inode.kept.empty()) inode.shared = st.st_nlink > 1;
  if (inode.done && !inode.kept.empty()) {
    BH_TRY(std::string kept, mirror_.again(inode.kept.front(), path));
    inode.kept.push_back(std::move(kept));
  } else if (auto linked = mirror_.link(place, path); linked) {
    BH_TRY(const struct stat got, mirror_.look_at(*linked));
    if (!(key_of(got) == key_of(st))) return fail("it was replaced meanwhile", ESTALE);  // kept for nothing
    inode.kept.push_back(std::move(*linked));
  } else {
    if (!impossible(linked.error().code)) return tl::unexpected(std::move(linked).error());
    BH_CHECK(charge(st));
    BH_TRY(std::string kept, mirror_.copy(place, path));
    inode.kept.push_back(std::move(kept));
    inode.done = true;
  }
  remember(st, std::move(inode));
  return {};
}

Result<bool> Keeper::remove(const Place& place, std::string_view path) {
  BH_TRY(const struct stat st, look(place));
  if (S_ISDIR(st.st_mode)) return fail("a folder", EISDIR);
  const std::scoped_lock held(stripe(st));
  Inode inode = known(st);
  if (inode.own || !inode.kept.empty()) {
    BH_CHECK(link_or_copy(st, place, path));
    return false;
  }
  // In one step, so that whatever stands there by now is what is kept.
  auto taken = mirror_.take(place, path);
  if (!taken) {
    if (!impossible(taken.error().code)) return tl::unexpected(std::move(taken).error());
    BH_CHECK(link_or_copy(st, place, path));
    return false;
  }
  BH_TRY(const struct stat got, mirror_.look_at(*taken));
  remember(got, Inode{.shared = got.st_nlink > 1, .kept = {std::move(*taken)}});
  return true;
}

Result<void> Keeper::move(const Place& place, std::string_view path) {
  BH_TRY(const struct stat st, look(place));
  if (S_ISDIR(st.st_mode)) {
    BH_TRY(const UniqueFd fd, open_beneath(place.folder.get(), place.name, O_RDONLY | O_DIRECTORY));
    return move_below(fd.get(), path, 0);
  }
  const std::scoped_lock held(stripe(st));
  return link_or_copy(st, place, path);
}

Result<void> Keeper::move_below(int fd, std::string_view path, int depth) {
  if (depth == deepest) return fail("folders too deep", ENAMETOOLONG);
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  const Inode inode = known(st);
  // A folder that is known may have moved before, but new originals can't have come into it since: those that have
  // are known, too. Its own folders are walked all the same, for what the host may have put there.
  if (!inode.own) BH_CHECK(folder(fd, path));
  BH_TRY(const UniqueFd listed, open_beneath(fd, ".", O_RDONLY | O_DIRECTORY));
  BH_TRY(const std::vector<std::string> names, sys::list_directory(listed.get()));
  for (const std::string& name : names) {
    BH_TRY(UniqueFd parent, sys::duplicate(fd));
    const Place place{std::move(parent), name};
    const std::string below = std::string(path) + "/" + name;
    auto found = look(place);
    if (!found && found.error().code == ENOENT) continue;
    if (!found) return tl::unexpected(std::move(found).error());
    if (S_ISDIR(found->st_mode)) {
      BH_TRY(const UniqueFd folder, open_beneath(fd, name, O_RDONLY | O_DIRECTORY));
      BH_CHECK(move_below(folder.get(), below, depth + 1));
    } else {
      const std::scoped_lock held(stripe(*found));
      BH_CHECK(link_or_copy(*found, place, below));
    }
  }
  return {};
}

}  // namespace bulkhead::keep
