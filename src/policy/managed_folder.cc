#include "policy/managed_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/account.h"
#include "base/sys.h"
#include "base/text.h"
#include "policy/toml.h"

namespace bulkhead {
namespace {

constexpr std::size_t most_files = 64;

tl::unexpected<Error> refuse(const std::string& path, const std::string& why, const std::string& fix) {
  return fail("managed policy: " + escape_for_terminal(path) + " " + why +
              ", so no session starts; an administrator mends it: " + fix);
}

// By what was opened. The overflow uid, which is who root is in somebody's user namespace, is not root.
Result<void> judge_owner(int fd, const std::string& path, uid_t owner) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  const std::string shown = escape_for_terminal(path);
  if (st.st_uid != owner) return refuse(path, "does not belong to root", "chown root " + shown);
  // A group's bits bound what access lists give, too (acl(5)).
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return refuse(path, "may be written by others than root", "chmod go-w " + shown);
  }
  return {};
}

Result<std::string> read_judged(int folder, const std::string& name, const std::string& path, uid_t owner) {
  auto file = sys::open_at(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!file && file.error().code == ELOOP) {
    return refuse(path, "is a symbolic link", "put the file itself there");
  }
  if (!file) {
    return refuse(path, "can't be read (" + file.error().message + ")", "chmod a+r " + escape_for_terminal(path));
  }
  BH_TRY(const struct stat st, sys::stat_fd(file->get(), path));
  if (!S_ISREG(st.st_mode)) return refuse(path, "is no regular file", "move it away");
  BH_CHECK(judge_owner(file->get(), path, owner));
  auto text = sys::read_all(file->get(), max_toml_bytes, path);
  if (!text) return refuse(path, "can't be read (" + text.error().message + ")", "make it shorter, or readable");
  return text;
}

void add_home(std::vector<std::string>& homes, const std::string& home) {
  if (!home.starts_with('/') || home == "/") return;
  std::string real = home;
  if (auto found = sys::real_path(home)) real = *found;
  if (std::ranges::find(homes, real) == homes.end()) homes.push_back(real);
}

// HOME is the user's word, and so counts only where it takes something away; or where there is nothing else: for a user
// who is not in /etc/passwd, and for root.
void find_homes(const std::string& home, Managed& managed) {
  const uid_t uid = ::getuid();
  const auto account = find_account(uid);
  if (account) add_home(managed.own_homes, account->home);
  if (!account || uid == 0) add_home(managed.own_homes, home);
  managed.all_homes = managed.own_homes;
  add_home(managed.all_homes, home);
}

}  // namespace

Result<std::shared_ptr<const Managed>> find_managed_below(int start, const std::string& path, uid_t owner,
                                                          const std::string& home) {
  struct Opened {
    UniqueFd fd;
    std::string path;
  };
  std::vector<Opened> way;
  std::string so_far;
  bool there = true;
  for (const std::string& name : split(path, '/')) {
    if (name.empty()) continue;
    so_far += "/" + name;
    const int parent = way.empty() ? start : way.back().fd.get();
    auto folder = sys::open_at(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!folder && folder.error().code == ENOENT) {
      there = false;
      break;
    }
    if (!folder && folder.error().code == ENOTDIR) {
      return refuse(so_far, "is no folder, or a symbolic link to one", "make it a folder");
    }
    if (!folder) {
      return refuse(so_far, "can't be looked into (" + folder.error().message + ")",
                    "chmod a+rx " + escape_for_terminal(so_far));
    }
    way.push_back({std::move(*folder), so_far});
  }
  // Whoever may write the last folder there is may have taken the next one away; above the first that is ours that is
  // not for us to judge unless there is something of ours.
  const std::size_t ours = static_cast<std::size_t>(std::ranges::count(path, '/')) - 1;
  if (!there && way.size() < ours) return nullptr;
  BH_CHECK(judge_owner(start, "/", owner));
  for (const Opened& one : way) BH_CHECK(judge_owner(one.fd.get(), one.path, owner));
  if (!there) return nullptr;

  auto folder = sys::open_at(way.back().fd.get(), ".", O_RDONLY | O_DIRECTORY);
  const std::string& where = way.back().path;
  if (!folder) {
    return refuse(where, "can't be read (" + folder.error().message + ")", "chmod a+rx " + escape_for_terminal(where));
  }
  BH_TRY(std::vector<std::string> names, sys::list_directory(folder->get()));
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.') || !name.ends_with(".toml"); });
  if (names.empty()) return nullptr;
  if (names.size() > most_files) return refuse(where, "holds too many files", "keep " + std::to_string(most_files));
  std::ranges::sort(names);
  auto managed = std::make_shared<Managed>();
  for (const std::string& name : names) {
    if (!valid_utf8(name)) return refuse(where + "/" + name, "has a name that is not UTF-8", "give it another");
    const std::string file = where + "/" + name;
    BH_TRY(const std::string text, read_judged(folder->get(), name, file, owner));
    auto loaded = load_managed(text, file);
    if (!loaded) {
      return fail("managed policy: " + loaded.error().message +
                  " (no session starts until an administrator has mended it)");
    }
    managed->files.push_back(std::move(*loaded));
  }
  if (auto agreed = check_managed(*managed); !agreed) {
    return fail("managed policy: " + agreed.error().message +
                " (no session starts until an administrator has mended it)");
  }
  find_homes(home, *managed);
  return managed;
}

Result<std::shared_ptr<const Managed>> find_managed(const std::string& home) {
  BH_TRY(const UniqueFd root, sys::open("/", O_PATH | O_DIRECTORY));
  return find_managed_below(root.get(), managed_folder, 0, home);
}

}  // namespace bulkhead
