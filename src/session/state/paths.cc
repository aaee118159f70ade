#include "session/state/paths.h"

namespace bulkhead::session {

Result<Paths> Paths::from(const UserEnvironment& environment) {
  if (!environment.home.starts_with('/')) {
    return fail("HOME is " + std::string(environment.home.empty() ? "not set" : "not an absolute path") +
                ": Bulkhead keeps its state below it; set HOME and try again");
  }
  const auto base = [&](const std::string& xdg, const char* otherwise) {
    return xdg.starts_with('/') ? xdg : environment.home + otherwise;
  };
  Paths paths;
  paths.home = environment.home;
  paths.state = base(environment.xdg_state_home, "/.local/state") + "/bulkhead";
  paths.config = base(environment.xdg_config_home, "/.config") + "/bulkhead";
  paths.cache = base(environment.xdg_cache_home, "/.cache") + "/bulkhead";
  if (environment.xdg_runtime_dir.starts_with('/')) paths.runtime = environment.xdg_runtime_dir + "/bulkhead";
  return paths;
}

}  // namespace bulkhead::session
