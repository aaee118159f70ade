// bulkhead-trace: records what gVisor or a virtual machine tells of the processes inside. trace.h says on which
// descriptors.

#include <poll.h>

#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "trace/machine.h"
#include "trace/sentry.h"
#include "trace/trace.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;
constexpr int tier_fd = 5;

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  evidence::Recorder recorder{UniqueFd(evidence_fd)};
  UniqueFd tier(tier_fd);
  BH_CHECK(confine(Role::trace));
  BH_TRY(ipc::Message message, ipc::receive(tier.get()));
  if (message.closed) {  // no session after all; why, somebody else says
    pollfd p{supervisor.get(), POLLIN, 0};
    (void)::poll(&p, 1, -1);
    return {};
  }
  if (message.fds.size() != 1) return fail("the tier sent no socket to be told on");
  tier.reset();
  BH_TRY(std::unique_ptr<trace::Teller> teller, message.text == "m"
                                                    ? trace::greet_machine(supervisor.get(), std::move(message.fds[0]))
                                                    : trace::greet_sentry(supervisor.get(), std::move(message.fds[0])));
  if (!teller) return {};
  BH_CHECK(ipc::send(supervisor.get(), nlohmann::json{{"type", "ready"}}));
  return trace::serve(supervisor.get(), std::move(teller), std::move(recorder), {});
}

}  // namespace

int main() {
  return bulkhead::run_helper(run);
}
