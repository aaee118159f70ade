#include "trust/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"

namespace bulkhead::trust {
namespace {

using nlohmann::json;

constexpr std::uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
constexpr std::size_t max_file = std::size_t{64} << 20;
constexpr std::size_t max_text = std::size_t{256} << 10;  // of one file, kept for the diff
constexpr std::size_t max_all_texts = std::size_t{8} << 20;
constexpr std::string_view suffix = ".json";

Result<void> check_own(int fd, const std::string& name) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, name));
  if (st.st_uid != ::geteuid())
    return fail("\"" + name + "\" belongs to uid " + std::to_string(st.st_uid) + ", not to you");
  if ((st.st_mode & 022) != 0) return fail("\"" + name + "\" can be written by others: chmod go-w it");
  return {};
}

// Names may be any bytes; JSON holds UTF-8. What is none is kept in hex.
void put_bytes(json& object, const std::string& key, const std::string& value) {
  if (valid_utf8(value)) {
    object[key] = value;
  } else {
    object[key + "_hex"] = hex(value);
  }
}

std::string take_bytes(const json& object, const std::string& key) {
  if (object.contains(key + "_hex")) {
    auto bytes = unhex(object.at(key + "_hex").get<std::string>());
    if (!bytes) throw json::other_error::create(0, "not hex", nullptr);
    return std::move(*bytes);
  }
  return object.at(key).get<std::string>();
}

json to_json(const Project& project) {
  json files = json::array();
  for (const auto& [path, pinned] : project.files) {
    json one{
        {"link", pinned.kind == Content::Kind::link}, {"executable", pinned.executable}, {"sha256", pinned.sha256}};
    put_bytes(one, "path", path);
    put_bytes(one, "target", pinned.target);
    if (pinned.text) one["text"] = *pinned.text;
    files.push_back(std::move(one));
  }
  json out{{"v", 1}, {"inode", project.inode}, {"born", project.born}, {"trusted", project.trusted}, {"files", files}};
  put_bytes(out, "path", project.path);
  return out;
}

Result<Project> from_json(const std::string& text) {
  const json object = json::parse(text, nullptr, false);
  try {
    if (object.at("v") != 1) return fail("is of another version");
    Project out;
    out.path = take_bytes(object, "path");
    out.inode = object.at("inode").get<std::uint64_t>();
    out.born = object.at("born").get<std::string>();
    out.trusted = object.at("trusted").get<std::string>();
    for (const json& one : object.at("files")) {
      Pinned pinned;
      pinned.kind = one.at("link").get<bool>() ? Content::Kind::link : Content::Kind::file;
      pinned.executable = one.at("executable").get<bool>();
      pinned.sha256 = one.at("sha256").get<std::string>();
      pinned.target = take_bytes(one, "target");
      if (one.contains("text")) pinned.text = one.at("text").get<std::string>();
      out.files.emplace(take_bytes(one, "path"), std::move(pinned));
    }
    return out;
  } catch (const json::exception&) {
    return fail("is torn or not Bulkhead's");
  }
}

}  // namespace

bool Pinned::same_as(const Content& content) const {
  return content.problem.empty() && !sha256.empty() && kind == content.kind && executable == content.executable &&
         target == content.target && sha256 == content.sha256;
}

Result<Project> Project::of(int folder) {
  Project out;
  BH_TRY(out.path, sys::path_of(folder));
  struct statx st{};
  if (::statx(folder, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME | STATX_TYPE, &st) != 0) {
    return fail_errno("statx", out.path, errno);
  }
  if (!S_ISDIR(st.stx_mode)) return fail("\"" + escape_for_terminal(out.path) + "\" is no folder");
  out.inode = st.stx_ino;
  if ((st.stx_mask & STATX_BTIME) != 0) {
    out.born = std::to_string(st.stx_btime.tv_sec) + "." + std::to_string(st.stx_btime.tv_nsec);
  }
  return out;
}

std::string Project::key() const {
  return sha256_hex(path + '\0' + std::to_string(inode) + '\0' + born);
}

void Project::pin(const Control& control, bool keep_text) {
  const Content& content = control.content;
  Pinned pinned{content.kind, content.executable, content.target, content.sha256, std::nullopt};
  std::size_t kept = 0;
  for (const auto& [name, one] : files) kept += one.text ? one.text->size() : 0;
  const bool is_text = valid_utf8(content.bytes) && content.bytes.find('\0') == std::string::npos;
  if (keep_text && is_text && content.bytes.size() <= max_text && kept + content.bytes.size() <= max_all_texts) {
    pinned.text = content.bytes;
  }
  files.insert_or_assign(control.path, std::move(pinned));
}

Result<Pins> Pins::open(const std::string& state, bool make) {
  if (make) BH_CHECK(sys::make_directories(state, 0700));
  Pins out;
  auto parent = sys::open(state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!parent && parent.error().code == ENOENT && !make) return out;
  if (!parent) return tl::unexpected(std::move(parent).error());
  BH_CHECK(check_own(parent->get(), state));
  if (make && ::mkdirat(parent->get(), "trust", 0700) != 0 && errno != EEXIST) {
    return fail_errno("mkdir", state + "/trust", errno);
  }
  auto folder = sys::open_at2(parent->get(), "trust", O_RDONLY | O_DIRECTORY, beneath);
  if (!folder && folder.error().code == ENOENT && !make) return out;
  if (!folder) return tl::unexpected(std::move(folder).error());
  BH_CHECK(check_own(folder->get(), state + "/trust"));
  out.folder_ = std::move(*folder);
  return out;
}

Result<Project> Pins::read(const std::string& key) const {
  const std::string name = key + std::string(suffix);
  auto fd = sys::open_at2(folder_.get(), name, O_RDONLY | O_NONBLOCK, beneath);
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_CHECK(check_own(fd->get(), name));
  BH_TRY(const struct stat st, sys::stat_fd(fd->get(), name));
  if (!S_ISREG(st.st_mode)) return fail("\"" + name + "\" is no file");
  BH_TRY(const std::string text, sys::read_all(fd->get(), max_file, name));
  auto project = from_json(text);
  if (!project) return fail("\"" + name + "\" " + project.error().message);
  if (project->key() != key) return fail("\"" + name + "\" is about another folder than its name says");
  return project;
}

std::optional<Project> Pins::find(const Project& folder, std::string& problem) const {
  if (!folder_) return std::nullopt;
  auto found = read(folder.key());
  if (found) return std::move(*found);
  if (found.error().code != ENOENT) problem = found.error().message + "; nothing in it counts as trusted";
  return std::nullopt;
}

std::vector<Project> Pins::list(std::vector<std::string>& problems) const {
  std::vector<Project> out;
  if (!folder_) return out;
  const auto names = sys::list_directory(folder_.get());
  if (!names) problems.push_back(names.error().message);
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (!name.ends_with(suffix) || name.starts_with('.')) continue;
    auto project = read(name.substr(0, name.size() - suffix.size()));
    if (project) {
      out.push_back(std::move(*project));
    } else if (project.error().code != ENOENT) {
      problems.push_back(project.error().message);
    }
  }
  std::sort(out.begin(), out.end(), [](const Project& a, const Project& b) { return a.path < b.path; });
  return out;
}

Result<void> Pins::save(const Project& project) const {
  return sys::replace_at(folder_.get(), project.key() + std::string(suffix), to_json(project).dump(1) + "\n", 0600);
}

Result<bool> Pins::remove(const std::string& key) const {
  if (!folder_) return false;
  const std::string name = key + std::string(suffix);
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;
    return fail_errno("unlink", name, errno);
  }
  if (::fsync(folder_.get()) != 0) return fail_errno("fsync", "trust", errno);
  return true;
}

std::vector<std::string> trusted_hashes(const std::string& state, const std::string& folder,
                                        const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  const auto pins = Pins::open(state, false);
  const auto opened = sys::open(folder, O_PATH | O_DIRECTORY);
  if (!pins || !opened) return out;
  const auto project = Project::of(opened->get());
  if (!project) return out;
  std::string problem;
  const auto known = pins->find(*project, problem);
  if (!known) return out;
  for (const std::string& path : paths) {
    const auto at = known->files.find(path);
    if (at != known->files.end() && at->second.kind == Content::Kind::file) out.push_back(at->second.sha256);
  }
  return out;
}

}  // namespace bulkhead::trust
