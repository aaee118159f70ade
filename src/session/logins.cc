#include "session/logins.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "credential/login_messages.h"
#include "policy/json.h"

namespace bulkhead::session {
namespace {

constexpr int read_timeout = 10'000;  // ms

// Where it is on the host: its folder, opened, and its name there.
struct Found {
  UniqueFd folder;
  std::string name, real;
};

Result<Found> find(const std::string& path, Sources& sources) {
  Found found;
  BH_TRY(found.real, sys::real_path(path));
  const std::size_t slash = found.real.rfind('/');
  found.name = found.real.substr(slash + 1);
  const std::string folder = slash == 0 ? "/" : found.real.substr(0, slash);
  BH_TRY(UniqueFd opened, sources.open(folder));
  BH_TRY(found.folder, sources.mountable(std::move(opened), folder));
  return found;
}

Result<LoginFile> hear(const Helper& helper, const Credential& credential, std::vector<std::string>& notes) {
  pollfd p{helper.control.get(), POLLIN, 0};
  if (::poll(&p, 1, read_timeout) <= 0) return fail("reading the login took too long");
  BH_TRY(const ipc::Message message, ipc::receive(helper.control.get()));
  if (message.closed) {
    char text[512];
    const ssize_t n = ::read(helper.messages.get(), text, sizeof text);
    return fail("bulkhead-login ended" +
                (n > 0 ? ": " + escape_for_terminal(std::string_view(text, static_cast<std::size_t>(n))) : ""));
  }
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_CHECK(json_read::keys(object, {"type", "error", "missing", "notes", "inside"}, "the answer"));
  BH_TRY(const std::string error, json_read::string(object, "error"));
  BH_TRY(const bool missing, json_read::boolean(object, "missing"));
  if (!error.empty()) return fail(escape_for_terminal(error), missing ? ENOENT : 0);
  BH_TRY(const std::vector<std::string> said, json_read::strings(object, "notes"));
  for (const std::string& note : said) {
    notes.push_back("credential \"" + credential.name + "\": " + escape_for_terminal(note));
  }
  LoginFile file;
  file.credential = credential.name;
  BH_TRY(file.text, json_read::string(object, "inside"));
  return file;
}

Result<void> start_one(const Credential& credential, Found found, std::string target, const UniqueFd& program,
                       const Identity& identity, Logins& out) {
  LoginRequest request;
  request.name = found.name;
  request.login = *credential.login;
  request.slot = make_slot(credential);
  if (identity.from_root) request.become = {identity.uid, identity.gid};
  BH_TRY(Helper helper, start_login(program, credential.name, found.folder.get()));
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  const int theirs = pair.first.get();
  BH_CHECK(ipc::send(helper.control.get(), to_json(request), std::span(&theirs, 1)));
  BH_TRY(LoginFile file, hear(helper, credential, out.credentials.notes));
  file.target = std::move(target);
  file.real = std::move(found.real);
  out.credentials.tokens.push_back(std::move(request.slot));
  out.credentials.sockets.emplace(credential.name, std::move(pair.second));
  out.files.push_back(std::move(file));
  out.helpers.push_back(std::move(helper));
  return {};
}

}  // namespace

Result<Logins> start_logins(Policy& policy, const Identity& identity, Sources& sources) {
  Logins out;
  std::set<std::string> used;
  for (const Grant& grant : policy.grants) {
    const auto credential = policy.credentials.find(grant.credential);
    if (credential != policy.credentials.end() && credential->second.login) used.insert(grant.credential);
  }
  if (used.empty()) return out;
  BH_TRY(const UniqueFd program, open_helper("bulkhead-login"));
  for (const std::string& name : used) {
    const Credential& credential = policy.credentials.at(name);
    std::string path = credential.source_value;
    if (path.starts_with("~/")) path.replace(0, 1, identity.home);
    const auto shown = [&](const std::string& text) {
      return "credential \"" + name + "\" (\"" + escape_for_terminal(credential.source_value) + "\"): " + text;
    };
    const auto start = [&]() -> Result<void> {
      auto found = find(path, sources);
      if (!found && (found.error().code == ENOENT || found.error().code == ENOTDIR)) {
        return fail("it does not exist; log in on the host, or mark the credential optional", ENOENT);
      }
      if (!found) return tl::unexpected(std::move(found).error());
      return start_one(credential, std::move(*found), path, program, identity, out);
    };
    auto started = start();
    if (started) continue;
    const std::string line = shown(started.error().message);
    if (!credential.optional) return fail(line);
    if (started.error().code != ENOENT) out.credentials.closed.push_back(line);
    std::erase_if(policy.grants, [&](const Grant& grant) { return grant.credential == name; });
  }
  return out;
}

void add_logins(Credentials& into, Logins& logins) {
  Credentials& from = logins.credentials;
  std::ranges::move(from.tokens, std::back_inserter(into.tokens));
  std::ranges::move(from.notes, std::back_inserter(into.notes));
  std::ranges::move(from.closed, std::back_inserter(into.closed));
  into.sockets.merge(from.sockets);
}

Result<void> release_logins(const std::vector<Helper>& helpers) {
  for (const Helper& helper : helpers) {
    BH_CHECK(ipc::send(helper.control.get(), nlohmann::json{{"type", "release"}}));
  }
  return {};
}

}  // namespace bulkhead::session
