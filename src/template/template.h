// Templates: sandboxes' memory, saved after a command of the user's has prepared it, for sessions that go on from there
// (`bulkhead template create`, `run --template`). `templates/NAME/` in the user's cache, with what the tier saved in
// `image/` and what is known of it in `template.json` (docs/formats.md). What the tier does with it:
// tier/gvisor/saved.h.
//
// One is made beside (`NAME.new/`), synced, and then put in the place of what was there, under a lock on `NAME.lock`
// that the kernel frees with whoever held it: what a crash left is thrown away when the next one is made. That nobody
// else can write there is looked at each time. That nothing in there has changed, too: the tier itself would go on from
// a damaged memory without a word.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::templates {

// What of the machine, of Bulkhead and of the policy it depends on (tier.h, Isolation::shape).
using Shape = std::map<std::string, std::string>;

struct Info {
  std::string name;
  std::string made;                  // RFC 3339, UTC
  std::vector<std::string> command;  // that prepared it
  std::vector<std::string> again;    // what makes it anew
  Shape shape;
  std::uint64_t bytes = 0;
};

struct Entry {
  Info info;
  std::string image;                           // the folder to go on from, absolute
  std::map<std::string, std::string> digests;  // SHA-256 of the files in there
};

// What the names of machines begin with (tier vm), and no other's.
inline constexpr std::string_view machine_prefix = "vm-";

// Letters, digits, '-' and '_', at most 64, a letter or digit first.
Result<void> check_name(const std::string& name);

// Why a template of this shape can't be gone on from where another is needed, and what to type; nothing where it can.
Result<void> check_shape(const Info& info, const Shape& needed);

// One that is being made. Dropped before finish(), nothing of it stays.
class Making {
 public:
  Making(Making&&) noexcept = default;
  Making& operator=(Making&&) = delete;
  ~Making();

  const std::string& image() const { return image_; }  // the empty folder to save into, absolute
  // May come from a process that was forked off.
  Result<void> write_shape(const Shape& shape) const;
  // With what was saved. The value is its size.
  Result<std::uint64_t> finish(Info info);

 private:
  friend class Store;
  Making(std::string name, const std::string& path, UniqueFd store, UniqueFd folder, UniqueFd lock)
      : name_(std::move(name)),
        image_(path + "/image"),
        store_(std::move(store)),
        folder_(std::move(folder)),
        lock_(std::move(lock)) {}

  std::string name_, image_;
  UniqueFd store_, folder_, lock_;
};

class Store {
 public:
  // `cache`: the user's. ENOENT where there is none yet and `make` is false.
  static Result<Store> open(const std::string& cache, bool make);

  // Fails at once if it is being made by somebody else.
  Result<Making> begin(const std::string& name) const;
  // Every byte of it as it was made. ENOENT: there is none of this name.
  Result<Entry> find(const std::string& name) const;
  // The same without a look at the bytes: that is for whoever reads them, by `digests`. What a file is, whose, and how
  // large, is looked at here.
  Result<Entry> look(const std::string& name) const;
  // Of all; what can't be read has a name only. Sorted.
  Result<std::vector<Info>> list() const;
  Result<void> remove(const std::string& name) const;

 private:
  Store(std::string path, UniqueFd folder) : path_(std::move(path)), folder_(std::move(folder)) {}
  void sweep() const;
  Result<Entry> entry(const std::string& name, bool whole) const;

  std::string path_;
  UniqueFd folder_;
};

}  // namespace bulkhead::templates
