// The control files of a project: a walk over a hostile tree. Every folder and file is opened from the folder that
// holds it, by one name and without following links; names cost a getdents(2), and only what the catalogue names is
// read.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "trust/catalogue.h"
#include "trust/content.h"
#include "trust/snapshot.h"

namespace bulkhead::trust {

struct Control {
  std::string path;      // relative to the project, as it is spelled there
  std::size_t rule = 0;  // in the catalogue
  Class kind = Class::runs;
  Content content;
  std::vector<std::string> does;  // what it would do, a line each; not escaped
  bool dependency = false;        // in a folder of other people's packages
};

// A folder that was not looked at; "." is the project as a whole.
struct Unseen {
  std::string path, why;
};

// Hears of what the walk comes by, so that who looks for something else in the same tree need not walk it again. Not of
// what is reached through links. Names are as hostile as ever.
class Onlooker {
 public:
  Onlooker() = default;
  Onlooker(const Onlooker&) = delete;
  Onlooker& operator=(const Onlooker&) = delete;
  virtual ~Onlooker() = default;
  // A folder at that depth (the project's own: 0), opened. False: nothing in it is of interest.
  virtual bool enters(int folder, const std::string& name, std::size_t depth) = 0;
  // A regular file. `path`: in the project.
  virtual void file(const std::string& name, const std::string& path) = 0;
  // The walk ends before its time.
  virtual void incomplete() = 0;
};

struct FindLimits {
  std::size_t entries = 2'000'000;
  std::size_t depth = 100;
  std::size_t controls = 10'000;
  std::size_t bytes = std::size_t{64} << 20;
  std::chrono::milliseconds time{20'000};
  std::size_t noted = 500'000;    // in a snapshot
  std::size_t builds_read = 100;  // of its build inputs
};

struct Found {
  std::vector<Control> controls;  // runs and instructs, by path
  std::size_t build_inputs = 0;
  std::size_t entries = 0;
  std::vector<Unseen> unseen;
};

// `folder` may be O_PATH. An error only when the folder itself can't be read. `snapshot`, where there is one, is filled
// with all that a rule names, build inputs and what does not count included.
Result<Found> find_controls(int folder, const Catalogue& catalogue, const FindLimits& limits = {},
                            Snapshot* snapshot = nullptr, Onlooker* onlooker = nullptr);

}  // namespace bulkhead::trust
