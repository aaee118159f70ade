// A project folder for a test, and the list of control files that is shipped.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/sys.h"
#include "trust/catalogue.h"

namespace bulkhead::trust {

inline const Catalogue& shipped() {
  static const Catalogue catalogue = [] {
    auto loaded = Catalogue::load(BULKHEAD_SOURCE_DIR "/control", "");
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? std::move(*loaded) : Catalogue();
  }();
  return catalogue;
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/bulkhead-trust.XXXXXX";
    path_ = ::mkdtemp(name);
    fd_ = *sys::open(path_, O_RDONLY | O_DIRECTORY);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
    std::ofstream(at(name), std::ios::binary) << text;
    ::chmod(at(name).c_str(), mode);
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
    std::filesystem::create_symlink(target, at(name));
  }
  std::string at(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace bulkhead::trust
