#include "session/credentials.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "credential/request.h"
#include "session/helpers.h"
#include "session/job_signals.h"

namespace bulkhead::session {
namespace {

// Each with how many egress processes get it: one, and the proxy's all of them.
std::map<std::string, std::size_t> used_credentials(const Policy& policy) {
  std::map<std::string, std::size_t> used;
  const std::vector<std::string> egress = needed_egress(policy);
  for (const std::string& name : egress) {
    if (!name.empty()) used[name] = 1;
  }
  if (!policy.upstream.credential.empty() && !egress.empty()) used[policy.upstream.credential] = egress.size();
  return used;
}

}  // namespace

void wipe_environment(const Policy& policy) {
  for (const auto& [name, credential] : policy.credentials) {
    if (credential.source != Credential::Source::env) continue;
    const std::string& variable = credential.source_value;
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
      if (::strncmp(*entry, variable.c_str(), variable.size()) != 0 || (*entry)[variable.size()] != '=') continue;
      char* value = *entry + variable.size() + 1;
      ::explicit_bzero(value, ::strlen(value));
    }
  }
}

Result<CredentialReader> CredentialReader::start(const Policy& policy, const Identity& identity) {
  CredentialReader reader;
  ReadRequest request;
  std::vector<UniqueFd> theirs;
  std::vector<int> fds;
  for (const auto& [name, recipients] : used_credentials(policy)) {
    const Credential::Source source = policy.credentials.at(name).source;
    if (source == Credential::Source::answer) continue;  // there is nothing to read
    if (source == Credential::Source::login) continue;   // another process reads it (logins.h)
    request.credentials.push_back(policy.credentials.at(name));
    request.recipients.push_back(recipients);
    reader.names_.push_back(name);
    for (std::size_t i = 0; i < recipients; ++i) {
      BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
      if (name == policy.upstream.credential) {
        reader.proxy_sockets_.push_back(std::move(pair.second));
      } else {
        reader.sockets_.emplace(name, std::move(pair.second));
      }
      fds.push_back(pair.first.get());
      theirs.push_back(std::move(pair.first));
    }
  }
  if (request.credentials.empty()) return reader;
  if (identity.from_root) request.become = {identity.uid, identity.gid};
  BH_TRY(const UniqueFd program, open_helper("bulkhead-credential"));
  BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
  SpawnOptions options;
  options.program = program.get();
  options.arguments = {"bulkhead-credential"};
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    options.borrowed_environment.push_back(*entry);
  }
  // A command's complaints belong to the person at the terminal.
  options.fds = {-1, -1, 2, control.second.get()};
  BH_TRY(reader.child_, spawn(options));
  reader.control_ = std::move(control.first);
  BH_CHECK(ipc::send(reader.control_.get(), to_json(request), fds));
  wipe_environment(policy);
  return reader;
}

Result<Credentials> CredentialReader::finish(Policy& policy, int signals) {
  Credentials out;
  for (const auto& [name, recipients] : used_credentials(policy)) {
    const Credential& credential = policy.credentials.at(name);
    if (credential.source == Credential::Source::answer) out.tokens.push_back(make_slot(credential));
  }
  if (!control_) return out;
  // A command may ask the person something; who is asked may also want to leave.
  pollfd fds[2] = {{control_.get(), POLLIN, 0}, {signals, POLLIN, 0}};
  while (fds[0].revents == 0) {
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    const auto came = fds[1].revents == 0 ? std::nullopt : next_job_signal(signals);
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP}) {
      if (came == number) return fail("interrupted");
    }
  }
  BH_TRY(const ipc::Message message, ipc::receive(control_.get()));
  if (message.closed) return fail("the credentials could not be read: bulkhead-credential ended");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_TRY(std::vector<ReadResult> results, read_results_from(object));
  if (results.size() != names_.size()) return fail("bulkhead-credential said something that makes no sense");
  for (std::size_t i = 0; i < results.size(); ++i) {
    ReadResult& result = results[i];
    const Credential& credential = policy.credentials.at(names_[i]);
    if (result.error.empty()) {
      out.notes.insert(out.notes.end(), result.notes.begin(), result.notes.end());
      if (names_[i] == policy.upstream.credential) continue;  // nothing stands for it inside
      out.tokens.push_back(make_slot(credential));
      continue;
    }
    if (!credential.optional || !result.missing) return fail(result.error);
    out.closed.push_back(result.error);
    sockets_.erase(names_[i]);
    std::erase_if(policy.grants, [&](const Grant& grant) { return grant.credential == names_[i]; });
  }
  out.sockets = std::move(sockets_);
  out.proxy_sockets = std::move(proxy_sockets_);
  return out;
}

Result<void> CredentialReader::release() {
  if (!control_) return {};
  released_ = true;
  return ipc::send(control_.get(), nlohmann::json{{"type", "release"}});
}

Result<void> CredentialReader::ended() {
  auto status = child_.try_wait();
  if (!status || !*status) return {};
  control_.reset();
  if (released_ && (*status)->shell() == 0) return {};
  return fail("bulkhead-credential ended before every credential was where it belongs, so the session was stopped");
}

}  // namespace bulkhead::session
