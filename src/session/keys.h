// What looks like a key among the files that the policy's mounts show: one line when a session starts, so that nobody
// is surprised. Nothing is refused for it: a project's own .env is there because the project is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "secrets/scan.h"
#include "secrets/secrets.h"
#include "tier/tier.h"
#include "trust/find.h"

namespace bulkhead::session {

class KeyFinder {
 public:
  // All mounts that are walked for this alone are together given the time of `bounds`.
  KeyFinder(const secrets::Patterns& patterns, const secrets::Bounds& bounds);
  KeyFinder(const KeyFinder&) = delete;
  KeyFinder& operator=(const KeyFinder&) = delete;
  ~KeyFinder();

  // `source`: what is mounted at `target`. What of it is shown by name is relative to `directory` where it lies there.
  void look(const Mount& mount, int source, const std::string& target, const std::string& directory);
  // The same of a folder that is walked for something else anyway: whom that walk is to tell, as long as this is there.
  // Null: nobody.
  Result<trust::Onlooker*> onlooker(const Mount& mount, int source, const std::string& target,
                                    const std::string& directory);
  // When those walks are over.
  void heard();

  // What lies at or below one of `paths`, relative to `target`, is not shown after all.
  void hide(const std::string& target, const std::vector<std::string>& paths);
  // Safe to print; empty: nothing was found.
  std::string line() const;

 private:
  class Hears;
  struct Found {
    std::string path;   // inside
    std::string shown;  // for people
  };
  void take(const Mount& mount, const std::vector<secrets::Key>& keys, const std::string& target,
            const std::string& directory);

  const secrets::Patterns& patterns_;
  secrets::Bounds bounds_;
  std::vector<std::unique_ptr<Hears>> hears_;
  std::vector<Found> found_;
  bool whole_ = true;
};

}  // namespace bulkhead::session
