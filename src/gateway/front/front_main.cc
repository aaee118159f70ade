// bulkhead-front SESSION: faces the workload. gateway.h says what it is told and on which descriptors.
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/trim.h"
#include "gateway/front/front.h"
#include "gateway/tls/java_store.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;
constexpr int pem_fd = 5;
constexpr int java_fd = 6;

bulkhead::Result<void> publish(const bulkhead::tls::SessionCa& ca) {
  using namespace bulkhead;
  const UniqueFd pem_pipe(pem_fd), java_pipe(java_fd);
  BH_TRY(const std::string pem, ca.pem());
  BH_CHECK(sys::write_all(pem_pipe.get(), pem, "the CA's pipe"));
  BH_TRY(const std::string der, ca.der());
  return sys::write_all(java_pipe.get(), tls::java_trust_store(der), "the CA's pipe");
}

bulkhead::Result<void> serve(const std::string& session) {
  using namespace bulkhead;
  UniqueFd supervisor(supervisor_fd);
  UniqueFd evidence(evidence_fd);
  BH_CHECK(tls::SessionCa::initialise());
  front::Parts parts;
  // The tier waits for it, so it comes before everything else.
  BH_TRY(parts.ca, tls::SessionCa::make(session, ::time(nullptr)));
  BH_CHECK(publish(*parts.ca));
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return fail("the supervisor closed its socket");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_TRY(FrontConfig config, front_config_from(object));
  if (message.fds.size() != config.listeners.size() + config.egress.size()) {
    return fail("the configuration came with the wrong number of descriptors");
  }
  for (std::size_t i = 0; i < message.fds.size(); ++i) {
    (i < config.listeners.size() ? parts.listeners : parts.egress).push_back(std::move(message.fds[i]));
  }
  parts.evidence = std::move(evidence);
  parts.stop = [](const std::string& why) {
    std::fprintf(stderr, "%s\n", escape_for_terminal(why).c_str());
    ::_exit(0);  // whoever is gone, the session is over
  };
  const int ready = supervisor.get();
  parts.supervisor = std::move(supervisor);
  front::asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);  // one thread, so no locks
  BH_TRY(const auto server, front::Front::create(io, std::move(config), std::move(parts)));
  BH_CHECK(confine(Role::front));
  server->start();
  BH_CHECK(ipc::send(ready, nlohmann::json{{"type", "ready"}}));
  front::asio::steady_timer trim(io, StartupTrim::delay);
  trim.async_wait([](const boost::system::error_code& error) {
    if (!error) release_startup_pages();
  });
  io.run();
  return fail("the event loop ended");
}

}  // namespace

// It serves until it is killed: whatever ends it is a failure.
int main(int argc, char** argv) {
  (void)bulkhead::run_helper([&] { return serve(argc > 1 ? argv[1] : ""); });
  return bulkhead::helper_failed;
}
