// bulkhead-changes: records what happens to files in the folders that a session may change. changes.h says on which
// descriptors.

#include <nlohmann/json.hpp>

#include "base/helper.h"
#include "base/ipc.h"
#include "changes/changes.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  evidence::Recorder recorder{UniqueFd(evidence_fd)};
  std::vector<changes::Mount> mounts;
  for (bool more = true; more;) {
    BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
    if (message.closed) return {};  // no session after all; why, somebody else says
    BH_TRY(const nlohmann::json object, ipc::parse(message.text));
    const nlohmann::json targets = object.value("mounts", nlohmann::json::array());
    if (!targets.is_array() || targets.size() != message.fds.size()) return fail("the supervisor made no sense");
    for (std::size_t i = 0; i < targets.size(); ++i) {
      mounts.push_back({targets[i].is_string() ? targets[i].get<std::string>() : "", std::move(message.fds[i])});
    }
    more = object.value("more", false);
  }
  return changes::serve(supervisor.get(), std::move(mounts), std::move(recorder));
}

}  // namespace

int main() {
  return bulkhead::run_helper(run);
}
