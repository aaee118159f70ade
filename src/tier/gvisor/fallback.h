// Debian 12's own runsc (0.0~20221219, package runsc), which a policy has to name: `runsc = "debian-12"`. What it does
// otherwise than one of 2024, and what that is met with:
//
//   no systrap             ptrace: needs nothing more of the host, and each call of the workload's costs several times
//                          as much; a sandbox in which nothing runs uses no processor
//   nobody                 its sentry becomes `nobody`, a second id, which can't be mapped without root. `--rootless`
//                          maps that to the only one there is, but its command line refuses it together with a network
//                          stack of gVisor's own; an annotation of the configuration sets it behind that check. Nothing
//                          of the network needs it: the wire's far end belongs to this user namespace
//   no --pass-fd           it gives its three standard descriptors to the first program only. So the shim's socket is
//                          the first of them, and the shim's first message from there brings the others
//   AT_NO_AUTOMOUNT        is an error to it, and coreutils say it of every file; a library that leaves it out is
//   loaded
//                          into what runs inside (guest/preload.cc)
//   no directfs            its gofer opens, reads and writes the mounts
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "tier/stage/stage.h"

namespace bulkhead::tier::gvisor {

// Of the shim: its socket is its standard input.
std::vector<std::string> old_shim_words(const std::string& shim_path);
// What stands in the configuration besides.
nlohmann::json old_annotations();
// The file that names the library, below `root` of the stage; with an image also the library's place, which has to be
// there before it is laid over the image's.
Result<void> place_preload(Stage& stage, const std::string& root, bool image);
// The library itself, in what is shown.
Result<void> show_preload(Stage& stage, const PlannedMount& preload, const std::string& root, bool image);
// To the socket's other end: the workload's 0, 1 and 2, -1 where it has none, and the lane.
Result<void> send_descriptors(int control, const int (&stdio)[3], int lane);

}  // namespace bulkhead::tier::gvisor
