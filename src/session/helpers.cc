#include "session/helpers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

// resolv.conf(5): `nameserver ADDRESS` lines. Scoped addresses (fe80::1%eth0) can't be asked by
// number alone.
Result<std::vector<std::string>> system_dns_servers() {
  std::vector<std::string> servers;
  auto text = sys::read_file("/etc/resolv.conf", 64 * 1024);
  for (const std::string& line : split(text ? *text : "", '\n')) {
    std::vector<std::string> words;
    std::string word;
    for (const char c : line + " ") {
      if (c != ' ' && c != '\t' && c != '\r') {
        word += c;
      } else if (!word.empty()) {
        words.push_back(std::exchange(word, ""));
      }
    }
    if (words.size() < 2 || words[0] != "nameserver" || words[1].find('%') != std::string::npos) continue;
    servers.push_back(words[1]);
  }
  if (servers.empty()) servers.emplace_back("127.0.0.1");  // what resolv.conf(5) says when there is none
  return servers;
}

Result<UniqueFd> open_ca_bundle() {
  for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (auto fd = sys::open(path, O_RDONLY); fd) return fd;
  }
  return fail(
      "this machine has no CA certificates to check servers with; install them: apt-get install "
      "ca-certificates");
}

// `more`: its descriptors after the usual ones.
Result<Helper> start(const std::string& name, const std::string& source, std::vector<std::string> arguments,
                     int program, const std::vector<int>& more = {}) {
  Helper helper;
  helper.name = name;
  helper.source = source;
  BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
  BH_TRY(sys::Pair messages, sys::pipe());
  SpawnOptions options;
  options.program = program;
  options.arguments = std::move(arguments);
  options.fds = {-1, -1, messages.second.get(), control.second.get()};
  sys::Pair evidence;
  if (!source.empty()) {
    BH_TRY(evidence, sys::socket_pair(SOCK_SEQPACKET));
    options.fds.push_back(evidence.second.get());
  }
  options.fds.insert(options.fds.end(), more.begin(), more.end());
  BH_TRY(helper.child, spawn(options));
  helper.control = std::move(control.first);
  helper.messages = std::move(messages.first);
  helper.evidence = std::move(evidence.first);
  BH_CHECK(sys::set_nonblocking(helper.messages.get(), true));
  return helper;
}

// Whether the user's other programs go through a proxy here. Which one is not taken from there: who dials where is the
// policy's to say.
bool environment_names_a_proxy() {
  for (const char* name : {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"}) {
    if (const char* value = ::getenv(name); value != nullptr && *value != '\0') return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> needed_egress(const Policy& policy) {
  std::vector<std::string> names;
  if (policy.ask) names.emplace_back();  // for what an answer grants
  for (const Grant& grant : policy.grants) {
    if (std::find(names.begin(), names.end(), grant.credential) == names.end()) names.push_back(grant.credential);
  }
  return names;
}

std::vector<Helper*> Helpers::all() {
  std::vector<Helper*> out{&evidence, &front};
  for (Helper& helper : egress) out.push_back(&helper);
  if (relay) out.push_back(&*relay);
  if (trace) out.push_back(&*trace);
  if (changes) out.push_back(&*changes);
  for (Helper& helper : keeps) out.push_back(&helper);
  for (Helper& helper : logins) out.push_back(&helper);
  return out;
}

Result<HelperFiles> open_helper_files(const Policy& policy) {
  HelperFiles files;
  BH_TRY(files.evidence, open_helper("bulkhead-evidence"));
  BH_TRY(files.front, open_helper("bulkhead-front"));
  BH_TRY(files.egress, open_helper("bulkhead-egress"));
  if (!policy.publish.empty()) {
    BH_TRY(files.relay, open_helper("bulkhead-relay"));
  }
  if (policy.processes.value_or(false)) {
    BH_TRY(files.trace, open_helper("bulkhead-trace"));
  }
  if (policy.files.value_or(false)) {
    BH_TRY(files.changes, open_helper("bulkhead-changes"));
  }
  if (std::any_of(policy.mounts.begin(), policy.mounts.end(), [](const Mount& mount) { return is_served(mount); })) {
    BH_TRY(files.keep, open_helper("bulkhead-keep"));
  }
  if (policy.grants.empty() && !policy.ask) return files;  // nothing will be dialled
  BH_TRY(files.ca_bundle, open_ca_bundle());
  for (const std::string& path : policy.upstream_ca) {
    auto fd = sys::open(path, O_RDONLY);
    if (!fd) return tl::unexpected(std::move(fd).error().with("upstream_ca"));
    files.upstream_ca.push_back(std::move(*fd));
  }
  files.dns_servers = policy.dns_servers;
  if (files.dns_servers.empty()) {
    BH_TRY(files.dns_servers, system_dns_servers());
  }
  return files;
}

Result<Helpers> start_helpers(const HelperFiles& files, const Policy& policy, const std::string& session, CaPipes ca) {
  Helpers helpers;
  BH_TRY(helpers.front,
         start("front", "front", {"bulkhead-front", session}, files.front.get(), {ca.pem.get(), ca.java.get()}));
  BH_TRY(helpers.evidence, start("evidence", "", {"bulkhead-evidence"}, files.evidence.get()));
  helpers.egress_credentials = needed_egress(policy);
  for (const std::string& name : helpers.egress_credentials) {
    BH_TRY(Helper egress, start(name.empty() ? "egress" : "egress " + name, "egress:" + name, {"bulkhead-egress"},
                                files.egress.get()));
    helpers.egress.push_back(std::move(egress));
    BH_TRY(sys::Pair lanes, sys::socket_pair(SOCK_SEQPACKET));
    helpers.lanes.push_back(std::move(lanes));
  }
  if (files.relay) {
    BH_TRY(helpers.relay, start("relay", "relay", {"bulkhead-relay"}, files.relay.get()));
  }
  return helpers;
}

Result<void> start_trace(Helpers& helpers, const HelperFiles& files, int told) {
  BH_TRY(helpers.trace, start("trace", "trace", {"bulkhead-trace"}, files.trace.get(), {told}));
  return {};
}

Result<void> start_changes(Helpers& helpers, const HelperFiles& files, const std::vector<Changing>& mounts) {
  if (mounts.empty()) return {};
  BH_TRY(Helper helper, start("changes", "changes", {"bulkhead-changes"}, files.changes.get()));
  for (std::size_t from = 0; from < mounts.size(); from += ipc::max_fds) {
    const std::size_t to = std::min(mounts.size(), from + ipc::max_fds);
    nlohmann::json targets = nlohmann::json::array();
    std::vector<int> fds;
    for (std::size_t i = from; i < to; ++i) {
      targets.push_back(mounts[i].target);
      fds.push_back(mounts[i].top.get());
    }
    const nlohmann::json message{{"type", "watch"}, {"mounts", targets}, {"more", to < mounts.size()}};
    // One that is gone already is found out by its end, which says why.
    if (auto sent = ipc::send(helper.control.get(), message, fds); !sent && sent.error().code != EPIPE) return sent;
  }
  helpers.changes = std::move(helper);
  return {};
}

Result<Helper> start_login(const UniqueFd& program, const std::string& name, int folder) {
  return start("login " + name, "", {"bulkhead-login"}, program.get(), {folder});
}

void drop_idle_egress(Helpers& helpers, const Policy& policy) {
  const std::vector<std::string> needed = needed_egress(policy);
  for (std::size_t i = helpers.egress.size(); i-- > 0;) {
    if (std::find(needed.begin(), needed.end(), helpers.egress_credentials[i]) != needed.end()) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    helpers.egress.erase(helpers.egress.begin() + at);
    helpers.egress_credentials.erase(helpers.egress_credentials.begin() + at);
    helpers.lanes.erase(helpers.lanes.begin() + at);
  }
}

Result<void> configure_evidence(Helpers& helpers, const std::string& session, UniqueFd log) {
  BH_TRY(sys::Pair own, sys::socket_pair(SOCK_SEQPACKET));
  helpers.supervisor_evidence = std::move(own.first);
  nlohmann::json sources = nlohmann::json::array({"supervisor"});
  std::vector<int> fds{log.get(), own.second.get()};
  for (Helper* helper : helpers.all()) {
    if (!helper->evidence) continue;
    sources.push_back(helper->source);
    fds.push_back(helper->evidence.get());
  }
  const nlohmann::json start{{"type", "start"}, {"session", session}, {"sources", std::move(sources)}};
  BH_CHECK(ipc::send(helpers.evidence.control.get(), start, fds));
  for (Helper* helper : helpers.all()) helper->evidence.reset();
  return {};
}

Result<void> configure_egress(Helpers& helpers, const std::string& session, const Policy& policy,
                              const HelperFiles& files, Credentials& credentials) {
  for (std::size_t i = 0; i < helpers.egress.size(); ++i) {
    EgressConfig config;
    config.session = session;
    config.credential = helpers.egress_credentials[i];
    config.dns_servers = files.dns_servers;
    config.upstream_ca = files.upstream_ca.size();
    config.proxy.upstream = policy.upstream;
    config.proxy.environment_names_one = environment_names_a_proxy();
    for (const TokenSlot& token : credentials.tokens) {
      if (token.credential == config.credential) config.slot = token;
    }
    for (const Grant& grant : policy.grants) {
      if (grant.credential == config.credential) config.grants.push_back(grant);
    }
    std::vector<int> fds{helpers.lanes[i].second.get(), files.ca_bundle.get()};
    for (const UniqueFd& fd : files.upstream_ca) fds.push_back(fd.get());
    if (const auto found = policy.credentials.find(config.credential); found != policy.credentials.end()) {
      config.login = found->second.login;
    }
    UniqueFd secret;
    if (!config.credential.empty() && (!config.slot.issued || config.login)) {
      secret = std::move(credentials.sockets[config.credential]);
      if (!secret) return fail("the credential \"" + config.credential + "\" was not read");
      fds.push_back(secret.get());
    }
    UniqueFd proxy_secret;
    if (!policy.upstream.credential.empty()) {
      config.proxy.slot.basic_user = policy.credentials.at(policy.upstream.credential).basic_user;
      if (credentials.proxy_sockets.empty()) return fail("the proxy's credential was not read");
      proxy_secret = std::move(credentials.proxy_sockets.back());
      credentials.proxy_sockets.pop_back();
      fds.push_back(proxy_secret.get());
    }
    BH_CHECK(ipc::send(helpers.egress[i].control.get(), to_json(config), fds));
    helpers.lanes[i].second.reset();
  }
  credentials.proxy_sockets.clear();  // of those that have nothing to do
  return {};
}

Result<void> start_keep(Helpers& helpers, const HelperFiles& files, const std::string& name, int tree, int device,
                        int kept, const nlohmann::json& about) {
  std::vector<int> fds{tree, device};
  if (kept >= 0) fds.push_back(kept);
  BH_TRY(Helper helper, start("keep " + name, "", {"bulkhead-keep"}, files.keep.get(), fds));
  BH_CHECK(ipc::send(helper.control.get(), about));
  helpers.keeps.push_back(std::move(helper));
  return {};
}

Result<void> configure_relay(Helpers& helpers, const Policy& policy, const room::Room& room,
                             std::vector<UniqueFd> listeners, bool beyond_wire) {
  if (!helpers.relay) return {};
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  // The holder has more to do than to wait for a relay that does not listen.
  BH_CHECK(sys::set_nonblocking(pair.second.get(), true));
  nlohmann::json ports = nlohmann::json::array(), inside = nlohmann::json::array();
  std::vector<int> fds{pair.first.get()};
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    ports.push_back({{"port", policy.publish.at(i).port}, {"inside", policy.publish.at(i).inside}});
    inside.push_back(policy.publish.at(i).inside);
    fds.push_back(listeners[i].get());
  }
  const int holders = pair.second.get();
  const nlohmann::json asked{{"type", "publish"}, {"ports", inside}, {"beyond_wire", beyond_wire}};
  BH_CHECK(ipc::send(room.control.get(), asked, std::span(&holders, 1)));
  return ipc::send(helpers.relay->control.get(), nlohmann::json{{"type", "relay"}, {"ports", ports}}, fds);
}

Result<void> configure_front(Helpers& helpers, const std::string& session, const Policy& policy, const room::Room& room,
                             const Credentials& credentials) {
  FrontConfig config;
  config.session = session;
  config.listeners = room.listeners;
  config.egress = helpers.egress_credentials;
  config.grants = policy.grants;
  config.tokens = credentials.tokens;
  config.ask = policy.ask;
  std::vector<int> fds;
  for (const UniqueFd& socket : room.sockets) fds.push_back(socket.get());
  for (const sys::Pair& lane : helpers.lanes) fds.push_back(lane.first.get());
  BH_CHECK(ipc::send(helpers.front.control.get(), to_json(config), fds));
  for (sys::Pair& lane : helpers.lanes) lane.first.reset();
  return {};
}

}  // namespace bulkhead::session
