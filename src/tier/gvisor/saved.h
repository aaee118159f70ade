// Templates (template/): a sandbox whose memory is saved once its workload has ended well, and sandboxes that go on
// from there. runsc saves and loads it; bulkhead-warden (warden_main.cc) is who runs runsc's commands in the stage.
//
// In the saved memory is one process, which is ours (guest/first.h). The mounts' places are the saved ones; what is
// there, and how, the host's kernel decides anew for each session: a flag in there counts for nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::tier {
struct Plan;
class Stage;
}  // namespace bulkhead::tier

namespace bulkhead::tier::gvisor {

// Of the stage.
inline constexpr const char* bundle_folder = "/bundle";  // config.json
inline constexpr const char* saved_folder = "/saved";    // the memory
inline constexpr const char* shim_file = "/bundle/shim.json";
inline constexpr const char* alone_file = "/bundle/alone.json";

// What of this machine and this plan the saved memory depends on, by name (docs/formats.md). `runsc` and `shim` are the
// programs. Where one of them differs, it is not to be restored.
Result<std::map<std::string, std::string>> saved_shape(const Plan& plan, int runsc, int shim);

// The saved memory's place, and the programs that are run beside its one process.
Result<void> furnish_saved(Stage& stage, const Plan& plan, const std::vector<std::string>& shim_words);

}  // namespace bulkhead::tier::gvisor
