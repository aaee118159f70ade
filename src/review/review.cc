#include "review/review.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/sys.h"
#include "base/text.h"
#include "review/tree.h"
#include "session/state/state.h"

namespace bulkhead::review {
namespace {

constexpr std::uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
constexpr int half_made_is_dead_after = 60;  // seconds; making one takes milliseconds
constexpr std::size_t max_file = 1U << 30;   // of our own; a journal has a line for each path

std::string text_of(const nlohmann::json& object) {
  return object.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

nlohmann::json to_json(const Info& info) {
  std::vector<std::string> inner;
  for (const std::string& path : info.inner) inner.push_back(encode_path(path));
  return {{"v", 1},
          {"id", info.id},
          {"session", info.session},
          {"folder", encode_path(info.folder)},
          {"device", info.device},
          {"inode", info.inode},
          {"boot_id", info.boot_id},
          {"started", info.started},
          {"since", {info.since_seconds, info.since_nanoseconds}},
          {"command", info.command},
          {"inner", inner}};
}

Result<Info> info_from(const std::string& text, const std::string& id) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  const Error broken{"review " + id + " is damaged: its review.json makes no sense", 0};
  if (!object.is_object()) return tl::unexpected(broken);
  try {
    Info info;
    info.id = id;
    if (object.at("v") != 1) {
      return fail("review " + id + " was made by a newer Bulkhead; use that one to apply or discard it");
    }
    info.session = object.at("session").get<std::string>();
    BH_TRY(info.folder, decode_path(object.at("folder").get<std::string>()));
    info.device = object.at("device").get<std::uint64_t>();
    info.inode = object.at("inode").get<std::uint64_t>();
    info.boot_id = object.at("boot_id").get<std::string>();
    info.started = object.at("started").get<std::string>();
    info.since_seconds = object.at("since").at(0).get<std::int64_t>();
    info.since_nanoseconds = object.at("since").at(1).get<std::int64_t>();
    info.command = object.at("command").get<std::vector<std::string>>();
    for (const nlohmann::json& path : object.at("inner")) {
      BH_TRY(std::string decoded, decode_path(path.get<std::string>()));
      info.inner.push_back(std::move(decoded));
    }
    return info;
  } catch (const nlohmann::json::exception&) {
    return tl::unexpected(broken);
  }
}

// The descriptor keeps the lock; empty when somebody else has it.
Result<UniqueFd> take_lock(int directory) {
  BH_TRY(UniqueFd fd, sys::open_at2(directory, "lock", O_RDWR, beneath));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return UniqueFd();
  return fail_errno("flock", "lock", errno);
}

Result<void> sync_directory(int directory) {
  // Of its own: fsync(2) refuses an O_PATH descriptor.
  BH_TRY(const UniqueFd fd, sys::open_at(directory, ".", O_RDONLY | O_DIRECTORY));
  return ::fsync(fd.get()) == 0 ? Result<void>() : fail_errno("fsync", "reviews", errno);
}

}  // namespace

std::string encode_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c > 0x20 && c < 0x7f && c != '%') {
      out += c;
    } else {
      out += '%' + hex(std::string_view(&c, 1));
    }
  }
  return out;
}

Result<std::string> decode_path(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const std::size_t high = i + 2 < text.size() ? digits.find(text[i + 1]) : std::string_view::npos;
    const std::size_t low = i + 2 < text.size() ? digits.find(text[i + 2]) : std::string_view::npos;
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return fail("not an encoded path: " + escape_for_terminal(text));
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<UniqueFd> Review::open_folder() const {
  const std::string shown = "\"" + escape_for_terminal(info_.folder) + "\"";
  auto fd = sys::open(info_.folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return tl::unexpected(std::move(fd).error().with("the folder of review " + info_.id));
  BH_TRY(const std::string real, sys::path_of(fd->get()));
  BH_TRY(const struct stat st, sys::stat_fd(fd->get(), real));
  BH_TRY(const std::string boot, sys::boot_id());
  if (real != info_.folder || st.st_ino != info_.inode || (boot == info_.boot_id && st.st_dev != info_.device)) {
    return fail(shown + " is not the folder any more that review " + info_.id +
                " is about (it was moved or replaced); move it back, or look into " + escape_for_terminal(path_) +
                "/layers/upper yourself");
  }
  return fd;
}

Result<UniqueFd> Review::open_upper() const {
  return sys::open_at2(directory_.get(), "layers/upper", O_RDONLY | O_DIRECTORY, beneath);
}

Result<void> Review::write(const std::string& name, std::string_view text) const {
  return sys::replace_at(directory_.get(), name, text, 0600);
}

Result<std::optional<std::string>> Review::read(const std::string& name) const {
  auto fd = sys::open_at2(directory_.get(), name, O_RDONLY, beneath);
  if (!fd && fd.error().code == ENOENT) return std::nullopt;
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(std::string text, sys::read_all(fd->get(), max_file, name));
  return text;
}

Result<void> Review::remove(const std::string& name) const {
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0 && errno != ENOENT) return fail_errno("unlink", name, errno);
  return sync_directory(directory_.get());
}

Result<std::set<std::string>> Review::settled() const {
  std::set<std::string> paths;
  BH_TRY(const std::optional<std::string> text, read("settled.json"));
  if (!text) return paths;
  const nlohmann::json list = nlohmann::json::parse(*text, nullptr, false);
  if (!list.is_array()) return fail("review " + info_.id + " is damaged: its settled.json makes no sense");
  for (const nlohmann::json& path : list) {
    if (!path.is_string()) return fail("review " + info_.id + " is damaged: its settled.json makes no sense");
    BH_TRY(std::string decoded, decode_path(path.get<std::string>()));
    paths.insert(std::move(decoded));
  }
  return paths;
}

Result<void> Review::settle(const std::set<std::string>& paths) const {
  BH_TRY(std::set<std::string> all, settled());
  all.insert(paths.begin(), paths.end());
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& path : all) list.push_back(encode_path(path));
  return write("settled.json", text_of(list));
}

Result<void> Review::erase() {
  if (!lock_) return fail("review " + info_.id + " is in use");
  // The name first: what is half removed is then not a review any more (sweep()).
  const std::string gone = ".gone-" + info_.id;
  if (::renameat(reviews_.get(), info_.id.c_str(), reviews_.get(), gone.c_str()) != 0) {
    return fail_errno("rename", info_.id, errno);
  }
  BH_CHECK(sync_directory(reviews_.get()));
  auto erased = erase_tree(reviews_.get(), gone);
  // Somebody's sweep may be at it, too.
  if (!erased && !look_at(reviews_.get(), gone)) return {};
  return erased;
}

namespace {

Result<Reviews> none() {
  return Reviews();
}

}  // namespace

Result<Reviews> Reviews::open(const session::Paths& paths) {
  BH_TRY(const session::Store store, session::Store::open(paths));
  Reviews reviews;
  reviews.path_ = paths.state + "/reviews";
  BH_TRY(reviews.reviews_, store.folder("reviews", true));
  return reviews;
}

Result<Reviews> Reviews::open_existing(const session::Paths& paths) {
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  Reviews reviews;
  reviews.path_ = paths.state + "/reviews";
  auto folder = store.folder("reviews", false);
  if (!folder) return folder.error().code == ENOENT ? none() : tl::unexpected(std::move(folder).error());
  reviews.reviews_ = std::move(*folder);
  return reviews;
}

Result<Review> Reviews::create(Info info) const {
  BH_TRY(info.boot_id, sys::boot_id());
  info.id = session::new_id();
  info.started = session::rfc3339_now();
  // What a file gets that is changed now (inode_set_ctime_current(): the coarse clock).
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  info.since_seconds = now.tv_sec;
  info.since_nanoseconds = now.tv_nsec;

  Review review;
  review.info_ = info;
  review.path_ = path_ + "/" + info.id;
  // What begins with a dot is no review yet; it gets its name when all of it stands and it is locked.
  const std::string making = ".new-" + info.id;
  if (::mkdirat(reviews_.get(), making.c_str(), 0700) != 0) return fail_errno("mkdir", making, errno);
  const auto fill = [&]() -> Result<void> {
    BH_TRY(review.directory_, sys::open_at2(reviews_.get(), making, O_RDONLY | O_DIRECTORY, beneath));
    BH_TRY(const UniqueFd lock, sys::open_at(review.directory(), "lock", O_RDWR | O_CREAT | O_EXCL, 0600));
    BH_TRY(review.lock_, take_lock(review.directory()));
    if (!review.lock_) return fail("somebody holds the lock of a new review");
    for (const char* name : {"layers", "layers/upper", "layers/work"}) {
      if (::mkdirat(review.directory(), name, 0700) != 0) return fail_errno("mkdir", name, errno);
    }
    BH_CHECK(review.write("review.json", text_of(to_json(info))));
    BH_TRY(review.reviews_, sys::duplicate(reviews_.get()));
    if (::renameat2(reviews_.get(), making.c_str(), reviews_.get(), info.id.c_str(), RENAME_NOREPLACE) != 0) {
      return fail_errno("rename", making, errno);
    }
    return sync_directory(reviews_.get());
  };
  if (auto filled = fill(); !filled) {
    (void)erase_tree(reviews_.get(), making);
    return tl::unexpected(std::move(filled).error());
  }
  return review;
}

std::vector<Info> Reviews::list() const {
  std::vector<Info> all;
  if (!reviews_) return all;
  const auto names = sys::list_directory(reviews_.get());
  if (!names) return all;
  for (const std::string& name : *names) {
    if (!session::valid_id(name)) continue;
    if (auto review = open(name, false); review) all.push_back(review->info());
  }
  std::ranges::sort(all, {}, [](const Info& i) { return std::tie(i.started, i.id); });
  return all;
}

void Reviews::sweep() const {
  if (!reviews_) return;
  const auto names = sys::list_directory(reviews_.get());
  if (!names) return;
  for (const std::string& name : *names) {
    if (name.starts_with(".gone-")) (void)erase_tree(reviews_.get(), name);
    if (!name.starts_with(".new-")) continue;
    // Whoever makes one holds its lock, but for the moment before it has one.
    const auto directory = sys::open_at2(reviews_.get(), name, O_RDONLY | O_DIRECTORY, beneath);
    const auto st = directory ? sys::stat_fd(directory->get(), name) : Result<struct stat>(fail(""));
    if (!st || ::time(nullptr) - st->st_ctime < half_made_is_dead_after) continue;
    (void)erase_tree(reviews_.get(), name);
  }
}

Result<Review> Reviews::open(const std::string& id, bool lock) const {
  if (!reviews_ || !session::valid_id(id))
    return fail("there is no review \"" + escape_for_terminal(id) + "\"", ENOENT);
  Review review;
  review.path_ = path_ + "/" + id;
  BH_TRY(review.directory_, sys::open_at2(reviews_.get(), id, O_RDONLY | O_DIRECTORY, beneath));
  BH_TRY(review.reviews_, sys::duplicate(reviews_.get()));
  if (lock) {
    BH_TRY(review.lock_, take_lock(review.directory()));
  }
  BH_TRY(const std::optional<std::string> text, review.read("review.json"));
  if (!text) return fail("review " + id + " is damaged: it has no review.json");
  BH_TRY(review.info_, info_from(*text, id));
  return review;
}

}  // namespace bulkhead::review
