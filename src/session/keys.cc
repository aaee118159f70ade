#include "session/keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t shown = 4;

// What a profile mounts is the same in every session, and for `policy show --reach` to say.
bool is_known(const Mount& mount) {
  return mount.origin.layer.starts_with("profile ");
}

// Which mount it lies in: what the host has mounted below a folder is no part of what a session gets.
std::optional<std::uint64_t> mount_id(int folder) {
  struct statx about{};
  if (::statx(folder, "", AT_EMPTY_PATH, STATX_MNT_ID, &about) != 0 || (about.stx_mask & STATX_MNT_ID) == 0) {
    return std::nullopt;
  }
  return about.stx_mnt_id;
}

}  // namespace

class KeyFinder::Hears : public trust::Onlooker {
 public:
  Hears(const secrets::Patterns& patterns, const secrets::Bounds& bounds, Mount mount, UniqueFd folder,
        std::string target, std::string directory)
      : bounds_(bounds),
        mount_(std::move(mount)),
        folder_(std::move(folder)),
        target_(std::move(target)),
        directory_(std::move(directory)),
        look_(patterns, bounds) {}

  bool enters(int folder, const std::string& name, std::size_t depth) override {
    if (depth == 0) in_ = mount_id(folder);
    if (depth == 0) return true;
    if (look_.skips(name) || mount_id(folder) != in_) return false;
    if (depth < bounds_.depth) return true;
    whole_ = false;
    return false;
  }
  void file(const std::string& name, const std::string& path) override { look_.file(name, path); }
  void incomplete() override { whole_ = false; }

  void tell(KeyFinder& finder) {
    const std::vector<secrets::Key> keys = look_.finish(folder_.get(), whole_);
    finder.whole_ = finder.whole_ && whole_;
    finder.take(mount_, keys, target_, directory_);
  }

 private:
  const secrets::Bounds bounds_;
  const Mount mount_;
  const UniqueFd folder_;
  const std::string target_, directory_;
  std::optional<std::uint64_t> in_;
  secrets::Look look_;
  bool whole_ = true;
};

KeyFinder::KeyFinder(const secrets::Patterns& patterns, const secrets::Bounds& bounds)
    : patterns_(patterns), bounds_(bounds) {}

KeyFinder::~KeyFinder() = default;

void KeyFinder::look(const Mount& mount, int source, const std::string& target, const std::string& directory) {
  if (is_known(mount)) return;
  if (bounds_.time.count() <= 0) {
    whole_ = false;
    return;
  }
  const auto began = std::chrono::steady_clock::now();
  const std::string name = target.substr(target.rfind('/') + 1);
  const secrets::Scan scan = secrets::scan(patterns_, source, name, bounds_);
  bounds_.time -= std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  whole_ = whole_ && scan.whole;
  take(mount, scan.keys, target, directory);
}

Result<trust::Onlooker*> KeyFinder::onlooker(const Mount& mount, int source, const std::string& target,
                                             const std::string& directory) {
  if (is_known(mount)) return nullptr;
  BH_TRY(UniqueFd folder, sys::duplicate(source));
  hears_.push_back(std::make_unique<Hears>(patterns_, bounds_, mount, std::move(folder), target, directory));
  return hears_.back().get();
}

void KeyFinder::heard() {
  for (const auto& one : hears_) one->tell(*this);
  hears_.clear();
}

void KeyFinder::take(const Mount& mount, const std::vector<secrets::Key>& keys, const std::string& target,
                     const std::string& directory) {
  for (const secrets::Key& key : keys) {
    if (!in_copy(mount, key.path)) continue;
    const std::string path = key.path.empty() ? target : target + "/" + key.path;
    const bool near = path.starts_with(directory + "/");
    found_.push_back({path, escape_for_terminal(near ? path.substr(directory.size() + 1) : path, 200)});
  }
}

void KeyFinder::hide(const std::string& target, const std::vector<std::string>& paths) {
  std::erase_if(found_, [&](const Found& found) {
    return std::ranges::any_of(paths, [&](const std::string& path) {
      const std::string hidden = target + "/" + path;
      return found.path == hidden || found.path.starts_with(hidden + "/");
    });
  });
}

std::string KeyFinder::line() const {
  if (found_.empty()) return {};
  std::vector<std::string> first;
  for (const Found& found : found_) {
    if (first.size() < shown) first.push_back(found.shown);
  }
  std::string line = "the session can read what looks like keys: " + join(first, ", ");
  if (found_.size() > shown) line += " and " + std::to_string(found_.size() - shown) + " more";
  if (!whole_) line += " (and not everything was looked at)";
  return line + "; bulkhead policy show --reach lists them";
}

}  // namespace bulkhead::session
