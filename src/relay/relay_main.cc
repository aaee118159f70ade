// bulkhead-relay: carries connections to published ports into the room. relay.h says what it is told and on which
// descriptors.

#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "relay/relay.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;

bulkhead::Result<void> run() {
  using namespace bulkhead;
  const UniqueFd supervisor(supervisor_fd);
  evidence::Recorder recorder{UniqueFd(evidence_fd)};
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return {};  // no session after all
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  const nlohmann::json asked = object.value("ports", nlohmann::json::array());
  if (message.fds.size() != asked.size() + 1) return fail("the ports came with the wrong number of descriptors");
  std::vector<relay::Port> ports;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    BH_CHECK(sys::set_nonblocking(message.fds[i + 1].get(), true));
    ports.push_back({asked[i].at("port").get<std::uint16_t>(), asked[i].at("inside").get<std::uint16_t>(),
                     std::move(message.fds[i + 1])});
  }
  BH_CHECK(confine(Role::relay));
  BH_CHECK(ipc::send(supervisor.get(), nlohmann::json{{"type", "ready"}}));
  return relay::serve(supervisor.get(), std::move(message.fds[0]), std::move(recorder), std::move(ports), {});
}

}  // namespace

int main() {
  return bulkhead::run_helper(run);
}
