#include "template/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/own.h"
#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "template/note.h"

namespace bulkhead::templates {
namespace {

constexpr const char* note_name = "template.json";
constexpr const char* shape_name = "shape.json";
constexpr std::string_view unfinished = ".new", locks = ".lock";
constexpr std::size_t max_note = 1U << 20;
constexpr std::size_t max_files = 16;
constexpr std::uint64_t max_file = 1ULL << 40;

std::string quoted(const std::string& name) {
  return "template \"" + escape_for_terminal(name, 80) + "\"";
}

// As a shell takes it.
std::string line_of(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_of(" \t\n'\"\\$`*?<>|&;()[]{}#~!") == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return escape_for_terminal(line, 600);
}

std::string make_again(const Info& info) {
  return "make it again: " + line_of(info.again);
}

std::string make_again(const std::string& name) {
  return "make it again: bulkhead template create " +
         (name.starts_with(machine_prefix) ? "--tier vm" : escape_for_terminal(name, 80) + " -- COMMAND");
}

constexpr OwnStore own{"templates", "remove it, and make them again"};

Result<void> sync(int fd, const std::string& name) {
  return ::fsync(fd) == 0 ? Result<void>() : fail_errno("fsync", name, errno);
}

Result<std::string> text_at(int folder, const char* name) {
  BH_TRY(const UniqueFd file, sys::open_at(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  BH_CHECK(judge_own(file.get(), name, own));
  return sys::read_all(file.get(), max_note, name);
}

Result<Note> note_at(int folder, const std::string& name) {
  BH_TRY(const std::string text, text_at(folder, note_name));
  BH_TRY(Note note, note_from(text));
  if (note.info.name != name) return fail("it was made under another name");
  return note;
}

Result<File> read_file(int image, const std::string& name) {
  BH_TRY(const UniqueFd file, sys::open_at(image, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  BH_TRY(const struct stat st, sys::stat_fd(file.get(), name));
  if (!S_ISREG(st.st_mode)) return fail(escape_for_terminal(name) + " is no file");
  File out{static_cast<std::uint64_t>(st.st_size), ""};
  BH_TRY(out.sha256, sha256_hex_of(file.get(), max_file));
  return out;
}

Result<std::map<std::string, File>> read_image(int image) {
  BH_TRY(const std::vector<std::string> names, sys::list_directory(image));
  if (names.empty() || names.size() > max_files) return fail("it has " + std::to_string(names.size()) + " files");
  std::map<std::string, File> out;
  for (const std::string& name : names) {
    BH_TRY(out[name], read_file(image, name));
  }
  return out;
}

Result<void> compare(const std::map<std::string, File>& known, const std::map<std::string, File>& found) {
  for (const auto& [name, file] : known) {
    const auto other = found.find(name);
    if (other == found.end()) return fail("its " + escape_for_terminal(name) + " is missing");
    if (other->second.bytes != file.bytes || other->second.sha256 != file.sha256) {
      return fail("its " + escape_for_terminal(name) + " is not as it was made");
    }
  }
  return known.size() == found.size() ? Result<void>() : fail("it has a file too many");
}

Result<void> judge_bytes(int image, const std::map<std::string, File>& known) {
  const auto files = read_image(image);
  return files ? compare(known, *files) : tl::unexpected(files.error());
}

Result<void> judge_files(int image, const std::map<std::string, File>& known) {
  for (const auto& [name, about] : known) {
    const auto file = sys::open_at(image, name, O_PATH | O_NOFOLLOW);
    if (!file) return fail("its " + escape_for_terminal(name) + " is missing");
    BH_CHECK(judge_own(file->get(), name, own));
    BH_TRY(const struct stat st, sys::stat_fd(file->get(), name));
    if (!S_ISREG(st.st_mode) || static_cast<std::uint64_t>(st.st_size) != about.bytes) {
      return fail("its " + escape_for_terminal(name) + " is not as it was made");
    }
  }
  return {};
}

// nullopt: somebody else holds it.
Result<std::optional<UniqueFd>> try_lock(int store, const std::string& name) {
  const std::string path = name + std::string(locks);
  BH_TRY(UniqueFd file, sys::open_at(store, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return std::optional(std::move(file));
  if (errno == EWOULDBLOCK) return std::nullopt;
  return fail_errno("flock", path, errno);
}

}  // namespace

Result<void> check_name(const std::string& name) {
  const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!name.empty() && name.size() <= 64 && plain(name.front()) &&
      std::ranges::all_of(name, [&](char c) { return plain(c) || c == '-' || c == '_'; })) {
    return {};
  }
  return fail(quoted(name) + ": a name has letters, digits, - and _, at most 64 of them, the first a letter or digit");
}

Result<void> check_shape(const Info& info, const Shape& needed) {
  struct Part {
    const char *key, *what;
    bool shown;
  };
  // What explains most comes first.
  constexpr Part parts[] = {{"bulkhead", "version of Bulkhead", true},
                            {"runsc", "runsc", false},
                            {"shim", "build of Bulkhead", false},
                            {"machine", "kernel or build of what the machine boots", false},
                            {"qemu", "QEMU", false},
                            {"accelerator", "way to run a machine", true},
                            {"kernel", "kernel", true},
                            {"processor", "processor", false},
                            {"sandbox", "set of mounts, limits or image", false}};
  for (const Part& part : parts) {
    const auto had = info.shape.find(part.key), has = needed.find(part.key);
    if (had == info.shape.end() && has == needed.end()) continue;
    if (had != info.shape.end() && has != needed.end() && had->second == has->second) continue;
    std::string line = quoted(info.name) + " was made with another " + part.what;
    if (part.shown && had != info.shape.end() && has != needed.end()) {
      line +=
          " (" + escape_for_terminal(had->second, 80) + ", and this is " + escape_for_terminal(has->second, 80) + ")";
    }
    return fail(line + "; " + make_again(info));
  }
  if (info.shape != needed) return fail(quoted(info.name) + " was made otherwise; " + make_again(info));
  return {};
}

Making::~Making() {
  if (lock_) (void)sys::remove_tree(store_.get(), name_ + std::string(unfinished));
}

Result<void> Making::write_shape(const Shape& shape) const {
  return sys::replace_at(folder_.get(), shape_name, shape_text(shape), 0600);
}

Result<std::uint64_t> Making::finish(Info info) {
  BH_TRY(const std::string shape, text_at(folder_.get(), shape_name));
  BH_TRY(info.shape, shape_from(shape));
  info.name = name_;
  BH_TRY(const UniqueFd image, sys::open_at(folder_.get(), "image", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Note note{std::move(info), {}};
  BH_TRY(note.files, read_image(image.get()));
  for (const auto& [name, file] : note.files) {
    BH_TRY(const UniqueFd one, sys::open_at(image.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    if (::fchmod(one.get(), 0600) != 0) return fail_errno("fchmod", name, errno);
    BH_CHECK(sync(one.get(), name));
    note.info.bytes += file.bytes;
  }
  BH_CHECK(sync(image.get(), "image"));
  if (::unlinkat(folder_.get(), shape_name, 0) != 0) return fail_errno("unlink", shape_name, errno);
  BH_CHECK(sys::replace_at(folder_.get(), note_name, note_text(note), 0600));
  BH_CHECK(sync(folder_.get(), name_));
  const std::string made = name_ + std::string(unfinished);
  // An older one changes places with it, and goes with the rest of what is unfinished.
  const bool replaces = ::faccessat(store_.get(), name_.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (::renameat2(store_.get(), made.c_str(), store_.get(), name_.c_str(),
                  replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0) {
    return fail_errno("rename", name_, errno);
  }
  BH_CHECK(sync(store_.get(), "templates"));
  return note.info.bytes;
}

Result<Store> Store::open(const std::string& cache, bool make) {
  const std::string path = cache + "/templates";
  if (make) BH_CHECK(sys::make_directories(path, 0700));
  BH_TRY(const UniqueFd above, sys::open(cache, O_PATH | O_DIRECTORY));
  BH_CHECK(judge_own(above.get(), cache, own));
  BH_TRY(UniqueFd fd, own_folder(above.get(), "templates", path, own));
  // By whatever mask it was made.
  if (::fchmod(fd.get(), 0700) != 0) return fail_errno("fchmod", path, errno);
  BH_TRY(std::string real, sys::path_of(fd.get()));
  return Store(std::move(real), std::move(fd));
}

// What others began and no longer make.
void Store::sweep() const {
  const auto names = sys::list_directory(folder_.get());
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.ends_with(unfinished)) continue;
    const std::string whole = name.substr(0, name.size() - unfinished.size());
    if (!check_name(whole)) continue;
    const auto lock = try_lock(folder_.get(), whole);
    if (lock && *lock) (void)sys::remove_tree(folder_.get(), name);
  }
}

Result<Making> Store::begin(const std::string& name) const {
  BH_CHECK(check_name(name));
  sweep();
  BH_TRY(std::optional<UniqueFd> lock, try_lock(folder_.get(), name));
  if (!lock) return fail(quoted(name) + " is being made already; wait for that, or stop it (bulkhead ps)");
  const std::string unmade = name + std::string(unfinished), path = path_ + "/" + unmade;
  BH_CHECK(sys::remove_tree(folder_.get(), unmade));
  if (::mkdirat(folder_.get(), unmade.c_str(), 0700) != 0) return fail_errno("mkdir", path, errno);
  BH_TRY(UniqueFd folder, own_folder(folder_.get(), unmade, path, own));
  if (::mkdirat(folder.get(), "image", 0700) != 0) return fail_errno("mkdir", path + "/image", errno);
  BH_TRY(UniqueFd store, sys::duplicate(folder_.get()));
  return Making(name, path, std::move(store), std::move(folder), std::move(*lock));
}

Result<Entry> Store::find(const std::string& name) const {
  return entry(name, true);
}

Result<Entry> Store::look(const std::string& name) const {
  return entry(name, false);
}

Result<Entry> Store::entry(const std::string& name, bool whole) const {
  BH_CHECK(check_name(name));
  const std::string path = path_ + "/" + name;
  auto folder = own_folder(folder_.get(), name, path, own);
  if (!folder && folder.error().code == ENOENT) {
    return fail("there is no " + quoted(name) + " (bulkhead template list)", ENOENT);
  }
  if (!folder) return tl::unexpected(std::move(folder).error());
  const auto note = note_at(folder->get(), name);
  if (!note) return fail(quoted(name) + " can't be used: " + note.error().message + "; " + make_again(name));
  const auto wrong = [&](const Error& error) {
    return fail(quoted(name) + " can't be used: " + error.message + "; " + make_again(note->info));
  };
  const auto image = own_folder(folder->get(), "image", path + "/image", own);
  if (!image) return wrong(image.error());
  if (const auto done = whole ? judge_bytes(image->get(), note->files) : judge_files(image->get(), note->files);
      !done) {
    return wrong(done.error());
  }
  Entry out{note->info, path + "/image", {}};
  for (const auto& [file, about] : note->files) out.digests[file] = about.sha256;
  return out;
}

Result<std::vector<Info>> Store::list() const {
  BH_TRY(std::vector<std::string> names, sys::list_directory(folder_.get()));
  std::erase_if(names, [](const std::string& name) { return !check_name(name).has_value(); });
  std::ranges::sort(names);
  std::vector<Info> out;
  for (const std::string& name : names) {
    Info info;
    if (const auto folder = own_folder(folder_.get(), name, path_ + "/" + name, own); folder) {
      if (auto note = note_at(folder->get(), name); note) info = std::move(note->info);
    }
    info.name = name;
    out.push_back(std::move(info));
  }
  return out;
}

Result<void> Store::remove(const std::string& name) const {
  BH_CHECK(check_name(name));
  BH_TRY(const std::optional<UniqueFd> lock, try_lock(folder_.get(), name));
  if (!lock) return fail(quoted(name) + " is being made just now");
  const std::string unmade = name + std::string(unfinished);
  // At one moment: a half of it is never taken for it.
  const bool there = ::renameat2(folder_.get(), name.c_str(), folder_.get(), unmade.c_str(), RENAME_NOREPLACE) == 0 ||
                     (errno == EEXIST && sys::remove_tree(folder_.get(), unmade) &&
                      ::renameat2(folder_.get(), name.c_str(), folder_.get(), unmade.c_str(), RENAME_NOREPLACE) == 0);
  if (!there) {
    (void)::unlinkat(folder_.get(), (name + std::string(locks)).c_str(), 0);
    return fail("there is no " + quoted(name) + " (bulkhead template list)", ENOENT);
  }
  BH_CHECK(sys::remove_tree(folder_.get(), unmade));
  // The lock's file stays: another process may be waiting at it.
  return sync(folder_.get(), "templates");
}

}  // namespace bulkhead::templates
