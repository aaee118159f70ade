#include "session/keys.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t shown = 4;

}  // namespace

KeyFinder::KeyFinder(const secrets::Patterns& patterns, const secrets::Bounds& bounds)
    : patterns_(patterns), bounds_(bounds) {}

void KeyFinder::look(const Mount& mount, int source, const std::string& target, const std::string& directory) {
  // What a profile mounts is the same in every session, and for `policy show --reach` to say.
  if (mount.origin.layer.starts_with("profile ")) return;
  if (bounds_.time.count() <= 0) {
    whole_ = false;
    return;
  }
  const auto began = std::chrono::steady_clock::now();
  const std::string name = target.substr(target.rfind('/') + 1);
  const secrets::Scan scan = secrets::scan(patterns_, source, name, bounds_);
  bounds_.time -= std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  whole_ = whole_ && scan.whole;
  for (const secrets::Key& key : scan.keys) {
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
