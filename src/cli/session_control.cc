#include "cli/session_control.h"

#include <poll.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/text.h"
#include "cli/common.h"
#include "session/state/connect.h"

namespace bulkhead::cli {

namespace {

constexpr int patience = 10'000;  // ms: the gateway has three seconds for what it is told

}  // namespace

Result<SessionControl> SessionControl::open(const std::string& id) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(std::vector<session::SessionInfo> running, store.list());
  std::erase_if(running, [](const session::SessionInfo& s) { return !s.alive; });
  SessionControl out;
  BH_TRY(out.info_, find_session(running, id));
  BH_TRY(const UniqueFd directory, store.open_session(out.info_.id));
  auto socket = session::connect_control(directory.get());
  if (!socket) return tl::unexpected(std::move(socket).error().with("session " + out.info_.id + " can't be reached"));
  out.socket_ = std::move(*socket);
  return out;
}

Result<nlohmann::json> SessionControl::ask(const nlohmann::json& request) const {
  const std::string name = "session " + info_.id;
  BH_CHECK(ipc::send(socket_.get(), request));
  pollfd p{socket_.get(), POLLIN, 0};
  if (::poll(&p, 1, patience) <= 0) {
    return fail(name +
                " does not answer (is it still starting, or stopped with Ctrl-Z? `fg` continues it, `bulkhead stop " +
                info_.id + "` ends it)");
  }
  BH_TRY(const ipc::Message message, ipc::receive(socket_.get()));
  if (message.closed) return fail(name + " ended before it answered");
  BH_TRY(nlohmann::json answer, ipc::parse(message.text));
  if (answer.value("ok", false)) return answer;
  return fail(name + ": " + escape_for_terminal(answer.value("error", "it refused without a word"), 2000));
}

std::string grant_line(const nlohmann::json& grant) {
  const std::string credential = grant.value("credential", "");
  return "grant " + grant.value("id", "?") + " (" +
         escape_for_terminal(join(grant.at("hosts").get<std::vector<std::string>>(), ", "), 260) + ":" +
         std::to_string(grant.value("port", 0)) + (credential.empty() ? "" : ", credential " + credential) + ")";
}

std::string cut_off_line(const nlohmann::json& answer) {
  const auto cut = answer.value("cut", std::uint64_t{0});
  return cut == 0 ? "" : "requests cut off: " + std::to_string(cut) + "\n";
}

}  // namespace bulkhead::cli
