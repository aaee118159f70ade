// Outputs ([[output]]): folders that are empty inside at the start and in memory of a size the policy says, and what is
// collected from them at the end: into a review (review/review.h), so that everything that holds for mode review holds
// for them, or, with `apply`, through that review into the host's folder.
//
// The memory is a tmpfs that the tier mounts (tier/stage/stage.h), so a session can't write more, and nothing of it is
// on a disk before it is collected. Its top folder comes out on a socket: the supervisor holds on to the file system
// with it when the tier is gone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/fd.h"
#include "policy/policy.h"
#include "review/review.h"
#include "session/state/paths.h"

namespace bulkhead::session {

// One of a session that runs.
struct Collecting {
  UniqueFd socket;    // on it comes the top folder of its memory
  UniqueFd layer;     // where it goes: upper/ of the review, opened while that could be
  std::string shown;  // as the user wrote it
  Output output;
  std::size_t review = 0;  // index into Planned::reviews
};

struct Collected {
  std::uint64_t files = 0, folders = 0, bytes = 0;
  std::uint64_t left_out = 0;  // links, sockets, FIFOs and devices, which no output has
};

// Copies what is in the session's memory into the review's layer, as the session's uid; the workload is dead by now.
// Regular files and folders, by descriptors, no link followed; of their modes the permissions. An error, and then the
// review holds nothing: there is more than `output` allows, or it could not be read.
Result<Collected> collect(const Collecting& from);

// What a person should know of it, also of one that needs few words; empty: nothing.
std::string collected_line(const Collecting& from, const Result<Collected>& done);
nlohmann::json collected_event(const std::string& folder, const std::string& review, const Result<Collected>& done);

// Once the session is over: the reviews of its outputs with `apply` are applied, each wholly or not at all; what the
// host would run or obey stays in the review (handoff/). Lines for the user. `data`: where the list of control files
// is.
std::vector<std::string> apply_outputs(const Policy& policy, const std::string& working_directory, const Paths& paths,
                                       const std::string& session, const std::string& data);

}  // namespace bulkhead::session
