// Where a user's Bulkhead keeps things, from an environment that is passed in (XDG Base Directory 0.8).
#pragma once

#include <string>

#include "base/result.h"

namespace bulkhead::session {

// Values of the variables of the same names; empty = unset.
struct UserEnvironment {
  std::string home, xdg_state_home, xdg_config_home, xdg_runtime_dir, xdg_cache_home = {};
};

struct Paths {
  std::string home;
  std::string state;    // ~/.local/state/bulkhead: sessions/ and evidence/ are in it (state.h)
  std::string config;   // ~/.config/bulkhead: policy.toml
  std::string cache;    // ~/.cache/bulkhead: unpacked images (image/cache.h)
  std::string runtime;  // $XDG_RUNTIME_DIR/bulkhead, or empty where there is none

  // An error when HOME is unset or not absolute. Relative XDG paths are ignored, as the specification says.
  static Result<Paths> from(const UserEnvironment& environment);
};

}  // namespace bulkhead::session
