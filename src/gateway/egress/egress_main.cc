// bulkhead-egress: dials out for one credential (or none). gateway.h says what it is told and on
// which descriptors.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/text.h"
#include "base/trim.h"
#include "credential/handover.h"
#include "credential/login_messages.h"
#include "gateway/egress/egress.h"
#include "gateway/egress/own_addresses.h"

namespace {

constexpr int supervisor_fd = 3;
constexpr int evidence_fd = 4;
constexpr rlim_t spare_files = 160;  // idle connections (limits.h), c-ares, the event loop, our own

bulkhead::Result<bulkhead::EgressConfig> configuration(int supervisor, std::vector<bulkhead::UniqueFd>& fds) {
  using namespace bulkhead;
  BH_TRY(ipc::Message message, ipc::receive(supervisor));
  if (message.closed) return fail("the supervisor closed its socket");
  fds = std::move(message.fds);
  BH_TRY(const auto object, ipc::parse(message.text));
  return egress_config_from(object);
}

// A lane takes up to three descriptors: itself, an upstream connection, a query. Past the limit a lane could not even
// be refused, so there are never as many.
std::size_t lanes_within_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 3 * bulkhead::egress::max_lanes + spare_files);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= spare_files) return 1;
  return std::min<std::size_t>(bulkhead::egress::max_lanes, (limit.rlim_cur - spare_files) / 3);
}

bulkhead::Result<bulkhead::LoginTokens> take_over_login(int socket) {
  using namespace bulkhead;
  BH_TRY(ipc::Message message, ipc::receive(socket));
  if (message.closed) return fail("the login did not come");
  BH_TRY(const auto object, ipc::parse(message.text));
  wipe(message.text);
  return tokens_from(object);
}

bulkhead::Result<void> serve() {
  using namespace bulkhead;
  UniqueFd supervisor(supervisor_fd);
  UniqueFd evidence(evidence_fd);
  std::vector<UniqueFd> fds;
  BH_TRY(EgressConfig config, configuration(supervisor.get(), fds));
  const bool is_login = config.login.has_value();
  const bool has_credential = !config.credential.empty() && (!config.slot.issued || is_login);
  const bool has_proxy_credential = !config.proxy.upstream.credential.empty();
  if (fds.size() != 2 + config.upstream_ca + (has_credential ? 1 : 0) + (has_proxy_credential ? 1 : 0))
    return fail("the configuration came with the wrong number of descriptors");
  const std::size_t credential_at = 2 + config.upstream_ca;
  BH_TRY(auto own, egress::own_addresses());

  egress::Parts parts;
  parts.control = std::move(fds[0]);
  parts.evidence = std::move(evidence);
  parts.ca_bundle = std::move(fds[1]);
  for (std::size_t i = 0; i < config.upstream_ca; ++i) parts.upstream_ca.push_back(std::move(fds[2 + i]));
  parts.max_lanes = lanes_within_open_files();
  parts.address_check = egress::address_check(std::move(own));
  parts.stop = [](const std::string& why) {
    std::fprintf(stderr, "%s\n", escape_for_terminal(why).c_str());
    ::_exit(0);  // whoever is gone, the session is over; nothing here is worth keeping
  };
  const int ready = supervisor.get();
  parts.supervisor = std::move(supervisor);
  boost::asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);  // one thread, so no locks
  BH_TRY(const auto server, egress::Egress::create(io, std::move(config), std::move(parts)));
  BH_CHECK(confine(Role::egress));
  if (is_login) {
    BH_TRY(LoginTokens tokens, take_over_login(fds[credential_at].get()));
    BH_CHECK(server->give_login(std::move(tokens), std::move(fds[credential_at])));
  } else if (has_credential) {
    const UniqueFd from = std::move(fds[credential_at]);
    BH_TRY(const Secret secret, take_over(from.get()));
    BH_CHECK(server->give(secret));
  }
  if (has_proxy_credential) {
    const UniqueFd from = std::move(fds.back());
    BH_TRY(const Secret secret, take_over(from.get()));
    BH_CHECK(server->give_proxy(secret));
  }
  server->start();
  BH_CHECK(ipc::send(ready, nlohmann::json{{"type", "ready"}}));
  boost::asio::steady_timer trim(io, StartupTrim::delay);
  trim.async_wait([](const boost::system::error_code& error) {
    if (!error) release_startup_pages();
  });
  io.run();
  return fail("the event loop ended");
}

}  // namespace

// It serves until it is killed: whatever ends it is a failure.
int main() {
  (void)bulkhead::run_helper(serve);
  return bulkhead::helper_failed;
}
