// bulkhead-front: faces the workload. gateway.h says what it is told and on which descriptors.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/ipc.h"
#include "base/text.h"
#include "base/trim.h"
#include "gateway/front/front.h"
#include "gateway/tls/java_store.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;
constexpr int failure = 125;

bulkhead::Result<nlohmann::json> ready_message(const bulkhead::tls::SessionCa& ca) {
  using namespace bulkhead;
  BH_TRY(const std::string pem, ca.pem());
  BH_TRY(const std::string der, ca.der());
  const std::string java = tls::java_trust_store(der);
  return nlohmann::json{{"type", "ready"},
                        {"ca_pem", pem},
                        {"ca_subject_hash", ca.subject_hash()},
                        {"ca_java", std::vector<std::uint8_t>(java.begin(), java.end())}};
}

bulkhead::Result<void> serve() {
  using namespace bulkhead;
  UniqueFd supervisor(supervisor_fd);
  UniqueFd evidence(evidence_fd);
  BH_CHECK(tls::SessionCa::initialise());
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return fail("the supervisor closed its socket");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_TRY(FrontConfig config, front_config_from(object));
  if (message.fds.size() != config.listeners.size() + config.egress.size()) {
    return fail("the configuration came with the wrong number of descriptors");
  }
  front::Parts parts;
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
  front::asio::io_context io(1);
  BH_TRY(const auto server, front::Front::create(io, std::move(config), std::move(parts)));
  BH_CHECK(confine(Role::front));
  server->start();
  BH_TRY(const nlohmann::json announcement, ready_message(server->ca()));
  BH_CHECK(ipc::send(ready, announcement));
  front::asio::steady_timer trim(io, StartupTrim::delay);
  trim.async_wait([](const boost::system::error_code& error) {
    if (!error) release_startup_pages();
  });
  io.run();
  return fail("the event loop ended");
}

}  // namespace

int main() {
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE}) ::signal(number, SIG_IGN);
  try {
    if (auto done = serve(); !done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  } catch (const std::exception& error) {  // a library's: out of memory, a broken invariant
    std::fprintf(stderr, "%s\n", bulkhead::escape_for_terminal(error.what()).c_str());
  }
  return failure;
}
