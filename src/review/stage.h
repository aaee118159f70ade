// Making what is to come, beside: new files in the staging folder, complete, with their owner, mode and times.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/apply.h"
#include "review/changes.h"
#include "review/tree.h"

namespace bulkhead::review {

class Stage {
 public:
  // `into`: the folder new/. Both trees, and `judged`, outlive this.
  Stage(const Tree& host, const Tree& upper, int into, const Judged& judged)
      : host_(host), upper_(upper), into_(into), judged_(judged) {}

  // The change's new state as `name` ("3", or "3/src/a.cc" in a folder that was made before). An error if it is not any
  // more what was looked at: what is made, not what it is made from, is compared with what was judged.
  Result<void> make(const Change& change, const std::string& name);
  // The same of a file whose content stays: its mode alone changes.
  Result<void> check_mode(const Change& change) const;
  // Folders last of all: what is made in them changes their times, and they may be read-only.
  Result<void> finish();
  // Folders of new/ itself whose owner is not to write them, by name, with their modes. They are left writable: a
  // folder that is not can't be moved by its owner.
  const std::map<std::string, mode_t>& closed() const { return closed_; }

 private:
  struct Folder {
    std::string name;
    struct stat wanted;
    mode_t mode;
  };
  Result<void> own(int fd, const Change& change, mode_t& mode) const;
  Result<void> check_file(const Change& change, int made, mode_t mode) const;
  Result<void> check_link(const Change& change, const std::string& target) const;

  const Tree &host_, &upper_;
  int into_;
  const Judged& judged_;
  std::vector<Folder> folders_;
  std::map<std::string, mode_t> closed_;
};

}  // namespace bulkhead::review
