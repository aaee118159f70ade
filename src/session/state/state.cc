#include "session/state/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/random.h"
#include "base/sys.h"

namespace bulkhead::session {

namespace {

constexpr std::string_view id_alphabet = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t id_length = 12;  // 60 bits
constexpr std::string_view being_made = ".new-";
constexpr int half_made_is_dead_after = 60;  // seconds; making one takes a millisecond
constexpr std::size_t max_info = 256 * 1024;
constexpr std::uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

Result<void> check_private(int fd, const std::string& path) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  if (st.st_uid != ::geteuid()) {
    return fail("\"" + path + "\" belongs to uid " + std::to_string(st.st_uid) + ", not to you (uid " +
                std::to_string(::geteuid()) + "): set HOME or XDG_STATE_HOME to a place of your own");
  }
  if ((st.st_mode & 022) != 0) {
    return fail("\"" + path + "\" can be written by others: chmod go-w it");
  }
  return {};
}

// One level of the state directory: never through a symlink.
Result<UniqueFd> open_level(int parent, const std::string& name, const std::string& path, bool make) {
  if (make && ::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir", path, errno);
  auto fd = sys::open_at2(parent, name, O_RDONLY | O_DIRECTORY, beneath);
  if (!fd) {
    Error error = errno_error("openat2", path, fd.error().code);
    if (error.code == ELOOP) error.message += ": the state directory may not be a symbolic link";
    return tl::unexpected(std::move(error));
  }
  BH_CHECK(check_private(fd->get(), path));
  return fd;
}

Result<std::vector<std::string>> entries(int directory) {
  // A descriptor of its own: readdir moves the offset, which duplicates share.
  BH_TRY(UniqueFd fd, sys::open_at(directory, ".", O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(fd.get());
  if (stream == nullptr) return fail_errno("fdopendir", "sessions", errno);
  fd.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  return names;
}

enum class Held { yes, no, unknown };

// Tries to take a session's lock; `lock` keeps it when it was free.
Held try_lock(int directory, int operation, UniqueFd& lock) {
  auto fd = sys::open_at2(directory, "lock", O_RDWR, beneath);
  if (!fd) return fd.error().code == ENOENT || fd.error().code == ELOOP ? Held::no : Held::unknown;
  if (::flock(fd->get(), operation | LOCK_NB) != 0) return errno == EWOULDBLOCK ? Held::yes : Held::unknown;
  lock = std::move(*fd);
  return Held::no;
}

nlohmann::json to_json(const SessionInfo& info) {
  return {{"v", 1},
          {"id", info.id},
          {"tier", info.tier},
          {"profile", info.profile},
          {"workspace", info.workspace},
          {"command", info.command},
          {"published", info.published},
          {"lives", info.lives},
          {"labels", info.labels},
          {"memory", info.memory ? nlohmann::json(*info.memory) : nlohmann::json()},
          {"pid", info.pid},
          {"pid_start_time", info.pid_start_time},
          {"boot_id", info.boot_id},
          {"started", info.started}};
}

std::optional<SessionInfo> read_info(int directory, const std::string& id) {
  const auto fd = sys::open_at2(directory, "session.json", O_RDONLY | O_NONBLOCK, beneath);
  if (!fd) return std::nullopt;
  const auto text = sys::read_all(fd->get(), max_info, "session.json");
  if (!text) return std::nullopt;
  const nlohmann::json object = nlohmann::json::parse(*text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  try {
    SessionInfo info;
    info.id = id;
    info.tier = object.at("tier").get<std::string>();
    info.profile = object.at("profile").get<std::string>();
    info.workspace = object.at("workspace").get<std::string>();
    info.command = object.at("command").get<std::vector<std::string>>();
    info.published = object.value("published", std::vector<std::string>());  // not in older ones
    info.lives = object.value("lives", false);
    info.labels = object.value("labels", std::map<std::string, std::string>());
    if (const auto memory = object.find("memory"); memory != object.end() && memory->is_number_unsigned()) {
      info.memory = memory->get<std::uint64_t>();
    }
    info.pid = object.at("pid").get<pid_t>();
    info.pid_start_time = object.at("pid_start_time").get<std::uint64_t>();
    info.boot_id = object.at("boot_id").get<std::string>();
    info.started = object.at("started").get<std::string>();
    return info;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::string rfc3339_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  std::array<char, 32> text;
  return {text.data(), ::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string new_id() {
  std::string id = random_bytes(id_length);
  for (char& c : id) c = id_alphabet[static_cast<unsigned char>(c) % id_alphabet.size()];
  return id;
}

bool valid_id(std::string_view id) {
  return id.size() == id_length && id.find_first_not_of(id_alphabet) == std::string_view::npos;
}

Result<Store> Store::open_levels(const Paths& paths, bool make) {
  const std::size_t slash = paths.state.rfind('/');
  const std::string parent_path = paths.state.substr(0, slash);
  if (make) BH_CHECK(sys::make_directories(parent_path, 0700));
  BH_TRY(UniqueFd parent, sys::open(parent_path, O_PATH | O_DIRECTORY));
  Store store;
  store.path_ = paths.state;
  BH_TRY(store.state_, open_level(parent.get(), paths.state.substr(slash + 1), paths.state, make));
  BH_TRY(store.sessions_, open_level(store.state_.get(), "sessions", paths.state + "/sessions", make));
  BH_TRY(store.evidence_, open_level(store.state_.get(), "evidence", paths.state + "/evidence", make));
  // Not in a state directory of an older version.
  auto kept = open_level(store.state_.get(), "kept", paths.state + "/kept", make);
  if (!kept && (make || kept.error().code != ENOENT)) return tl::unexpected(std::move(kept).error());
  if (kept) store.kept_ = std::move(*kept);
  return store;
}

Result<UniqueFd> Store::folder(const std::string& name, bool make) const {
  if (!state_) return fail("there is no state directory", ENOENT);
  return open_level(state_.get(), name, path_ + "/" + name, make);
}

Result<Store> Store::open(const Paths& paths) {
  return open_levels(paths, true);
}

Result<Store> Store::open_existing(const Paths& paths) {
  auto store = open_levels(paths, false);
  if (!store && store.error().code == ENOENT) return Store();
  return store;
}

Result<SessionDir> Store::create(SessionInfo info) {
  info.pid = ::getpid();
  BH_TRY(info.pid_start_time, sys::process_start_time(info.pid));
  BH_TRY(info.boot_id, sys::boot_id());
  info.started = rfc3339_now();
  // Somebody's sweep after a clock step may take a half-made one for dead; nothing is lost by trying again.
  for (int attempt = 0;; ++attempt) {
    info.id = new_id();
    auto made = try_create(info);
    if (made || attempt == 3 ||
        (made.error().code != ENOENT && made.error().code != EEXIST && made.error().code != EAGAIN)) {
      return made;
    }
  }
}

Result<SessionDir> Store::try_create(const SessionInfo& info) const {
  SessionDir session;
  session.info_ = info;
  const std::string temporary = std::string(being_made) + info.id;
  if (::mkdirat(sessions_.get(), temporary.c_str(), 0700) != 0) return fail_errno("mkdir", temporary, errno);
  const auto fill = [&]() -> Result<void> {
    BH_TRY(session.directory_, sys::open_at2(sessions_.get(), temporary, O_RDONLY | O_DIRECTORY, beneath));
    const int directory = session.directory_.get();
    BH_TRY(session.lock_, sys::open_at(directory, "lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (::flock(session.lock_.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("flock", temporary, errno);
    BH_TRY(UniqueFd file, sys::open_at(directory, "session.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    const std::string text = to_json(info).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    BH_CHECK(sys::write_all(file.get(), text, "session.json"));
    if (::renameat2(sessions_.get(), temporary.c_str(), sessions_.get(), info.id.c_str(), RENAME_NOREPLACE) != 0) {
      return fail_errno("rename", temporary, errno);
    }
    BH_TRY(session.log_, sys::open_at(evidence_.get(), info.id + ".jsonl",
                                      O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    BH_TRY(session.sessions_, sys::duplicate(sessions_.get()));
    BH_TRY(session.kept_, sys::duplicate(kept_.get()));
    return {};
  };
  if (auto filled = fill(); !filled) {
    (void)sys::remove_tree(sessions_.get(), temporary);
    (void)sys::remove_tree(sessions_.get(), info.id);
    return tl::unexpected(std::move(filled).error());
  }
  return session;
}

Result<std::vector<SessionInfo>> Store::list() const {
  std::vector<SessionInfo> sessions;
  if (!sessions_) return sessions;
  BH_TRY(const std::vector<std::string> names, entries(sessions_.get()));
  for (const std::string& name : names) {
    if (!valid_id(name)) continue;
    const auto directory = sys::open_at2(sessions_.get(), name, O_RDONLY | O_DIRECTORY, beneath);
    if (!directory) continue;
    auto info = read_info(directory->get(), name);
    if (!info) continue;
    UniqueFd lock;
    info->alive = try_lock(directory->get(), LOCK_SH, lock) == Held::yes;
    struct stat claimed{};
    info->claimed =
        ::fstatat(directory->get(), claimed_name, &claimed, AT_SYMLINK_NOFOLLOW) == 0 && claimed.st_size > 0;
    sessions.push_back(std::move(*info));
  }
  std::ranges::sort(sessions, {}, [](const SessionInfo& s) { return std::tie(s.started, s.id); });
  return sessions;
}

Result<std::vector<std::string>> Store::sweep() const {
  std::vector<std::string> swept;
  std::optional<Error> stuck;
  if (!sessions_) return swept;
  BH_TRY(const std::vector<std::string> names, entries(sessions_.get()));
  for (const std::string& name : names) {
    const bool half_made = name.starts_with(being_made);
    const std::string id = half_made ? name.substr(being_made.size()) : name;
    if (!valid_id(id)) continue;  // not ours
    const auto directory = sys::open_at2(sessions_.get(), name, O_RDONLY | O_DIRECTORY, beneath);
    if (!directory) continue;
    if (half_made) {
      const auto st = sys::stat_fd(directory->get(), name);
      if (!st || ::time(nullptr) - st->st_ctime < half_made_is_dead_after) continue;
    }
    UniqueFd lock;
    if (try_lock(directory->get(), LOCK_EX, lock) != Held::no) continue;
    // Two sweeps may meet here (the second locks a lock that is already unlinked): removing is idempotent.
    if (auto removed = sys::remove_tree(sessions_.get(), name); !removed) {
      if (removed.error().code == ENOENT) continue;
      // The others are swept all the same.
      if (!stuck) stuck = std::move(removed).error().with("cannot sweep session " + name);
      continue;
    }
    release_reserve(id);
    swept.push_back(id);
  }
  if (stuck) return tl::unexpected(std::move(*stuck));
  return swept;
}

Result<UniqueFd> Store::open_session(const std::string& id) const {
  if (!sessions_ || !valid_id(id)) return fail("no session " + id, ENOENT);
  return sys::open_at2(sessions_.get(), id, O_RDONLY | O_DIRECTORY, beneath);
}

// The writer gives its reserve back itself, unless the machine went down with it.
void Store::release_reserve(const std::string& id) const {
  const auto log = sys::open_at2(evidence_.get(), id + ".jsonl", O_WRONLY | O_APPEND, beneath);
  if (!log || ::flock(log->get(), LOCK_EX | LOCK_NB) != 0) return;  // a writer is still at it
  const auto st = sys::stat_fd(log->get(), id);
  if (st && S_ISREG(st->st_mode)) (void)::ftruncate(log->get(), st->st_size);
}

Result<UniqueFd> SessionDir::make_kept(std::size_t index) const {
  if (::mkdirat(kept_.get(), info_.id.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("mkdir", "kept/" + info_.id, errno);
  }
  BH_TRY(const UniqueFd session, sys::open_at2(kept_.get(), info_.id, O_RDONLY | O_DIRECTORY, beneath));
  const std::string name = std::to_string(index);
  if (::mkdirat(session.get(), name.c_str(), 0700) != 0) return fail_errno("mkdir", "kept/" + info_.id, errno);
  return sys::open_at2(session.get(), name, O_RDONLY | O_DIRECTORY, beneath);
}

// Nothing was kept where no file of any mount is there.
void SessionDir::remove_empty_kept() const {
  const auto session = sys::open_at2(kept_.get(), info_.id, O_RDONLY | O_DIRECTORY, beneath);
  if (!session) return;
  const auto mounts = entries(session->get());
  if (!mounts) return;
  for (const std::string& mount : *mounts) {
    const auto files = sys::open_at2(session->get(), mount + "/files", O_RDONLY | O_DIRECTORY, beneath);
    if (!files && files.error().code == ENOENT) continue;  // nobody ever served it
    const auto names = files ? entries(files->get()) : Result<std::vector<std::string>>();
    if (!files || !names || !names->empty()) return;
  }
  (void)sys::remove_tree(kept_.get(), info_.id);
}

Result<void> SessionDir::remove() {
  if (!directory_) return {};
  remove_empty_kept();
  BH_TRY(const std::vector<std::string> names, entries(directory_.get()));
  for (const std::string& name : names) {
    // The lock last: whoever finds the directory half empty must still find it held.
    if (name != "lock") BH_CHECK(sys::remove_tree(directory_.get(), name));
  }
  BH_CHECK(sys::remove_tree(directory_.get(), "lock"));
  const int removed = ::unlinkat(sessions_.get(), info_.id.c_str(), AT_REMOVEDIR);
  if (removed != 0 && errno != EACCES && errno != EPERM && errno != ENOENT) return fail_errno("rmdir", info_.id, errno);
  directory_.reset();
  lock_.reset();
  return {};
}

SessionDir::~SessionDir() {
  // A forked child's copy must not remove what its parent still uses.
  if (directory_ && info_.pid == ::getpid()) (void)remove();
}

}  // namespace bulkhead::session
