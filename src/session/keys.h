// What looks like a key among the files that the policy's mounts show: one line when a session starts, so that nobody
// is surprised. Nothing is refused for it: a project's own .env is there because the project is.
#pragma once

#include <string>
#include <vector>

#include "secrets/scan.h"
#include "secrets/secrets.h"
#include "tier/tier.h"

namespace bulkhead::session {

class KeyFinder {
 public:
  // All mounts together are given the time of `bounds`.
  KeyFinder(const secrets::Patterns& patterns, const secrets::Bounds& bounds);

  // `source`: what is mounted at `target`. What of it is shown by name is relative to `directory` where it lies there.
  void look(const Mount& mount, int source, const std::string& target, const std::string& directory);
  // What lies at or below one of `paths`, relative to `target`, is not shown after all.
  void hide(const std::string& target, const std::vector<std::string>& paths);
  // Safe to print; empty: nothing was found.
  std::string line() const;

 private:
  const secrets::Patterns& patterns_;
  secrets::Bounds bounds_;
  struct Found {
    std::string path;   // inside
    std::string shown;  // for people
  };
  std::vector<Found> found_;
  bool whole_ = true;
};

}  // namespace bulkhead::session
