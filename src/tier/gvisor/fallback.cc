#include "tier/gvisor/fallback.h"

#include "base/ipc.h"
#include "guest/old_kernel.h"

namespace bulkhead::tier::gvisor {

std::vector<std::string> old_shim_words(const std::string& shim_path) {
  return {shim_path, std::to_string(shim::stdin_socket)};
}

nlohmann::json old_annotations() {
  return {{"dev.gvisor.flag.rootless", "true"}};
}

namespace {

constexpr const char* preload_path = "/.bulkhead/preload.so";

}  // namespace

Result<void> place_preload(Stage& stage, const std::string& root, bool image) {
  if (image) BH_CHECK(stage.file(root + preload_path, ""));
  return stage.file(root + "/etc/ld.so.preload", std::string(preload_path) + "\n");
}

Result<void> show_preload(Stage& stage, const PlannedMount& preload, const std::string& root, bool image) {
  const std::string place = root + preload_path;
  BH_CHECK(image ? stage.bind_over(preload, place) : stage.bind(preload, place));
  return stage.restrict(place);
}

Result<void> send_descriptors(int control, const int (&stdio)[3], int lane) {
  std::string which;
  std::vector<int> fds;
  for (const int fd : {stdio[0], stdio[1], stdio[2], lane}) {
    which += fd >= 0 ? shim::with_descriptor : shim::without_descriptor;
    if (fd >= 0) fds.push_back(fd);
  }
  return ipc::send(control, std::string_view(which), fds);
}

}  // namespace bulkhead::tier::gvisor
