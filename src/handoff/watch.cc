#include "handoff/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "handoff/events.h"
#include "handoff/items.h"
#include "handoff/live.h"
#include "review/record.h"
#include "session/state/state.h"
#include "trust/trust.h"

namespace bulkhead::handoff {
namespace {

using nlohmann::json;

constexpr std::uint64_t one_name = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
constexpr std::string_view ending = ".begun";
constexpr std::string_view being_made = ".new-";
constexpr int half_made_is_dead_after = 60;  // seconds; writing one takes milliseconds
constexpr std::size_t max_begun = std::size_t{512} << 20;

struct Begun {
  std::string session;
  trust::Project project;
  trust::Snapshot before;
};

Result<Begun> read_begun(int fd, const std::string& name) {
  BH_TRY(const std::string text, sys::read_all(fd, max_begun, name));
  const std::size_t end = std::min(text.find('\n'), text.size());
  const json head = json::parse(text.substr(0, end), nullptr, false);
  Begun out;
  try {
    out.session = head.at("session").get<std::string>();
    const auto path = unhex(head.at("path").get<std::string>());
    if (!path) return fail("not hex");
    out.project.path = *path;
    out.project.inode = head.at("inode").get<std::uint64_t>();
    out.project.born = head.at("born").get<std::string>();
  } catch (const json::exception&) {
    return fail("what was there before a session is not known any more (handoff/" + escape_for_terminal(name) +
                " is torn); what it changed was not looked at");
  }
  auto before = trust::snapshot_from(std::string_view(text).substr(std::min(end + 1, text.size())));
  if (!before) {
    return fail("session " + escape_for_terminal(out.session) + " in " + escape_for_terminal(out.project.path) + ": " +
                before.error().message);
  }
  out.before = std::move(*before);
  return out;
}

std::string shown(const trust::Project& project) {
  return escape_for_terminal(project.path, 300);
}

// What earlier sessions left and somebody has seen to since.
void forget_settled(LiveFolder& folder, int fd, const trust::Project* pinned) {
  std::erase_if(folder.files, [&](const LiveFile& file) {
    const Now now = state_of(file, fd, pinned);
    return now == Now::back || now == Now::trusted;
  });
}

Result<void> record(const session::Paths& paths, const LiveFolder& folder,
                    const std::vector<const trust::Handed*>& files) {
  BH_TRY(review::Record record, review::Record::open(paths));
  BH_CHECK(record.say("handoff.live", {{"of_session", folder.session},
                                       {"folder", folder.project.path},
                                       {"count", files.size()},
                                       {"files", files_of(files)},
                                       {"complete", folder.incomplete.empty()}}));
  return record.close();
}

Result<std::vector<std::string>> finish(const session::Paths& paths, const trust::Catalogue& catalogue,
                                        const Begun& begun) {
  std::vector<std::string> lines;
  const auto folder = sys::open(begun.project.path, O_RDONLY | O_DIRECTORY);
  const auto project = folder ? trust::Project::of(folder->get()) : tl::unexpected(folder.error());
  if (!project || project->key() != begun.project.key()) {
    return std::vector{"handoff: " + shown(begun.project) + " is not the folder any more that session " +
                       begun.session + " could write; what it changed there was not looked at"};
  }
  BH_TRY(const trust::Pins pins, trust::Pins::open(paths.state, false));
  std::string problem;
  const auto pinned = pins.find(*project, problem);
  const trust::Project* const trusted = pinned ? &*pinned : nullptr;
  BH_TRY(Compared compared, compare(folder->get(), begun.before, catalogue, trusted));
  const auto open = LiveStore::open(paths, true);
  if (!open) return tl::unexpected(open.error());
  auto known = open->find(*project, problem);
  if (!problem.empty()) lines.push_back("handoff: " + problem + "; what it named is not known any more");
  if (!known && compared.files.empty() && compared.incomplete.empty()) return lines;
  LiveFolder left = known ? std::move(*known) : LiveFolder();
  left.project = *project;
  left.session = begun.session;
  left.time = session::rfc3339_now();
  left.incomplete = compared.incomplete;
  for (LiveFile& file : compared.files) {
    file.session = left.session;
    file.time = left.time;
  }
  std::vector<trust::Handed> fresh;
  for (const LiveFile& file : compared.files) fresh.push_back(file.handed);
  std::vector<const trust::Handed*> handed;
  for (const trust::Handed& one : fresh) handed.push_back(&one);
  join(left, std::move(compared.files));
  forget_settled(left, folder->get(), trusted);
  BH_CHECK(open->save(left));
  if (!handed.empty()) {
    lines.push_back("handoff: " + summary_of(handed) + "; `bulkhead handoff` shows " +
                    (handed.size() == 1 ? "it" : "them"));
  }
  if (!left.incomplete.empty()) {
    lines.push_back("handoff: not all of " + shown(*project) + " could be looked through (" +
                    escape_for_terminal(left.incomplete, 200) + "), so more may have changed that the host may run");
  }
  if (!lines.empty()) BH_CHECK(record(paths, left, handed));
  return lines;
}

// Locked, if nobody lives who has it.
UniqueFd take(int folder, const std::string& name) {
  auto fd = sys::open_at2(folder, name, O_RDWR | O_NONBLOCK, one_name);
  struct stat st{};
  if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(fd->get(), &st) != 0) return {};
  // Somebody else may have been through with it in between.
  return S_ISREG(st.st_mode) && st.st_nlink > 0 ? std::move(*fd) : UniqueFd();
}

}  // namespace

Result<UniqueFd> begin_watch(const session::Paths& paths, const std::string& session, std::size_t index,
                             const trust::Project& project, const trust::Snapshot& before) {
  BH_TRY(const session::Store store, session::Store::open(paths));
  BH_TRY(const UniqueFd folder, store.folder("handoff", true));
  const std::string name = session + "." + std::to_string(index);
  const std::string making = std::string(being_made) + name;
  BH_TRY(UniqueFd file, sys::open_at(folder.get(), making, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const json head{
      {"v", 1}, {"session", session}, {"path", hex(project.path)}, {"inode", project.inode}, {"born", project.born}};
  const auto fill = [&]() -> Result<void> {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("flock", making, errno);
    BH_CHECK(sys::write_all(file.get(), head.dump() + "\n" + trust::to_lines(before), making));
    const std::string done = name + std::string(ending);
    if (::renameat2(folder.get(), making.c_str(), folder.get(), done.c_str(), RENAME_NOREPLACE) != 0) {
      return fail_errno("rename", making, errno);
    }
    return {};
  };
  if (auto filled = fill(); !filled) {
    (void)::unlinkat(folder.get(), making.c_str(), 0);
    return tl::unexpected(std::move(filled).error().with("what is in " + shown(project) + " could not be noted"));
  }
  return file;
}

std::vector<std::string> end_watches(const session::Paths& paths, const std::string& data) {
  std::vector<std::string> lines;
  const auto store = session::Store::open_existing(paths);
  const auto folder = store ? store->folder("handoff", false) : tl::unexpected(store.error());
  const auto names = folder ? sys::list_directory(folder->get()) : tl::unexpected(folder.error());
  if (!names) return lines;
  Result<trust::Catalogue> catalogue = fail("");
  bool loaded = false;
  for (const std::string& name : *names) {
    const bool half_made = name.starts_with(being_made);
    if (!half_made && !name.ends_with(ending)) continue;
    const UniqueFd file = take(folder->get(), name);
    if (!file) continue;
    if (half_made) {
      const auto st = sys::stat_fd(file.get(), name);
      if (st && ::time(nullptr) - st->st_ctime > half_made_is_dead_after)
        (void)::unlinkat(folder->get(), name.c_str(), 0);
      continue;
    }
    if (!loaded) catalogue = trust::load_catalogue(data, paths.config);
    loaded = true;
    if (!catalogue) {  // the next one that can read it looks
      lines.push_back("handoff: what the session changed was not looked at: " + catalogue.error().message);
      return lines;
    }
    const auto begun = read_begun(file.get(), name);
    auto said = begun ? finish(paths, *catalogue, *begun) : tl::unexpected(begun.error());
    if (said) {
      std::ranges::move(*said, std::back_inserter(lines));
    } else {
      lines.push_back("handoff: " + said.error().message);
    }
    // What could not be kept (a full disk) is for the next one.
    if (said || !begun) (void)::unlinkat(folder->get(), name.c_str(), 0);
  }
  return lines;
}

}  // namespace bulkhead::handoff
