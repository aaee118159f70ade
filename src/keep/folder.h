// The operations of a workload on a live folder, by path, done on the host's. Before each one Protection says whether
// the name may be touched, and the Keeper takes away what would be lost. Errors have the errno that the workload gets.
//
// Several threads at once. A path has to mean the same from the call to its return (names.h).
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "keep/keeper.h"
#include "keep/original.h"
#include "keep/place.h"
#include "keep/protect.h"

namespace bulkhead::keep {

struct OpenFile {
  UniqueFd fd;
  bool readable = true, writable = false;
  std::atomic<bool> free = false;  // nothing more is to be kept of it
  std::string path;                // when it was opened
};

// What an operation is about: a path, or an open file, whose path may be unknown by now.
struct About {
  std::optional<std::string> path = std::nullopt;
  OpenFile* file = nullptr;
};

class LiveFolder {
 public:
  // Hears of each operation that Protection refused: what it would have done, where, by which rule.
  using Refused = std::function<void(const char* operation, std::string_view path, std::string_view rule)>;

  // `keeper` may be null: nothing is kept then.
  LiveFolder(Tree tree, std::unique_ptr<Keeper> keeper, Protection protection, Refused refused, gid_t gid);

  const Tree& tree() const { return tree_; }
  const Protection& protection() const { return protection_; }

  Result<struct stat> look(const About& about) const;
  Result<std::string> read_link(const std::string& path) const;
  // A group without a number inside gets the session's: the kernel lets nobody write what has none.
  struct stat shown(struct stat st) const;

  Result<struct stat> make_node(const std::string& path, mode_t mode);
  Result<struct stat> make_folder(const std::string& path, mode_t mode);
  Result<struct stat> make_link(const std::string& path, const std::string& target);
  Result<struct stat> link(const std::string& from, const std::string& to);
  Result<void> remove(const std::string& path);
  Result<void> remove_folder(const std::string& path);
  // flags: 0, RENAME_NOREPLACE, RENAME_EXCHANGE
  Result<void> rename(const std::string& from, const std::string& to, unsigned flags);

  // `flags` as open(2)'s: the access mode, O_APPEND. With O_TRUNC it can be written, and is truncated by who asked for
  // it: that may have to copy much, and needs no path.
  Result<std::unique_ptr<OpenFile>> open(const std::string& path, int flags);
  Result<void> truncate(OpenFile& file, off_t size);
  // What was there already is opened, but with O_EXCL.
  Result<std::unique_ptr<OpenFile>> create(const std::string& path, int flags, mode_t mode);
  Result<std::size_t> write(OpenFile& file, const char* bytes, std::size_t size, off_t offset);
  Result<void> allocate(OpenFile& file, int mode, off_t offset, off_t length);

  Result<void> set_mode(const About& about, mode_t mode);
  Result<void> set_owner(const About& about, uid_t uid, gid_t gid);
  Result<void> set_times(const About& about, const timespec (&times)[2]);

  // Only attributes that are anybody's, `user.*`.
  Result<void> set_attribute(const std::string& path, const std::string& name, std::string_view value, int flags);
  Result<void> remove_attribute(const std::string& path, const std::string& name);
  Result<std::string> get_attribute(const std::string& path, const std::string& name) const;
  Result<std::vector<std::string>> list_attributes(const std::string& path) const;

 private:
  Result<void> may_change(const char* operation, const std::string& path, const struct stat* st, bool made);
  Result<void> may_write(const char* operation, std::string_view path, const struct stat& st);
  Result<Place> entry(const std::string& path);
  Result<struct stat> made(const Place& place);
  Result<std::unique_ptr<OpenFile>> open_for_writing(const std::string& path, int flags);
  Result<void> about_to_change(OpenFile& file);
  Result<void> before_replaced(const Place& place, const std::string& path, const struct stat& st);
  // Asks for everything before the attributes of what `about` is about change. The place, where there is no open file.
  Result<std::optional<Place>> before_attributes(const char* operation, const About& about);
  Result<void> refused(Result<void> asked, const char* operation, std::string_view path) const;

  Tree tree_;
  std::unique_ptr<Keeper> keeper_;
  Protection protection_;
  Refused refused_;
  gid_t gid_;
};

}  // namespace bulkhead::keep
