#include "session/owner.h"

#include <fcntl.h>

#include <algorithm>

#include "base/ipc.h"
#include "base/sys.h"
#include "policy/json.h"
#include "policy/managed_folder.h"
#include "policy/request.h"
#include "policy/show.h"
#include "session/recorded.h"
#include "session/state/state.h"

namespace bulkhead::session {
namespace {

constexpr auto apply_grace = std::chrono::seconds(3);
constexpr std::size_t max_event = 60 * 1024;  // docs/formats.md; the grants' ids are there in any case

void shorten(nlohmann::json& fields) {
  if (fields.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).size() > max_event) fields.erase("policy");
}

}  // namespace

Result<void> Owner::open(int session_directory, bool lives) {
  BH_TRY(control_, Control::open(session_directory));
  if (lives) {
    BH_TRY(claimed_, sys::open_at(session_directory, claimed_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  }
  return {};
}

void Owner::begin(const Options& options, const std::vector<Grant>& grants, Helpers& helpers,
                  evidence::Recorder& recorder, Commands& commands) {
  commands_ = &commands;
  options_ = &options;
  ports_ = {80, 443};
  for (const Grant& grant : options.policy.grants) ports_.insert(grant.port);
  live_ = LiveGrants(grants, helpers.egress_credentials);
  held_ = live_.held();
  helpers_ = &helpers;
  recorder_ = &recorder;
}

std::vector<int> Owner::listening() const {
  if (helpers_ == nullptr || applying_) return {};
  std::vector<int> fds = control_.connections();
  fds.push_back(control_.listener());
  return fds;
}

Result<void> Owner::ready(int fd) {
  if (fd == control_.listener()) {
    control_.accept();
    return {};
  }
  if (applying_) return {};  // begun in this round
  const auto request = control_.receive(fd);
  if (!request) return {};
  const nlohmann::json type = request->value("type", nlohmann::json());
  if (type == "exec" && commands_ != nullptr) {
    Control::Taken taken = control_.take();
    commands_->start(std::move(taken.connection), *request, std::move(taken.fds));
    return {};
  }
  auto answer = handle(*request);
  // Of the others the gateway has its part to do first.
  const bool at_once = type == "about" || type == "claim";
  if (answer && !at_once) return apply(std::move(*answer));
  if (answer) {
    control_.answer(*answer);
    return {};
  }
  control_.answer({{"ok", false}, {"error", answer.error().message}});
  return {};
}

// What to answer once it is done everywhere. An error: nothing was changed.
Result<nlohmann::json> Owner::handle(const nlohmann::json& request) {
  BH_TRY(const std::string type, json_read::string(request, "type"));
  if (type == "about") return about();
  if (type == "claim") return claim();
  if (type == "revoke") return revoke(request);
  if (type == "reload") return reload(request);
  if (type == "close") return close(request);
  return fail("it knows no such request: it was started by another version of Bulkhead");
}

Result<nlohmann::json> Owner::revoke(const nlohmann::json& request) {
  BH_CHECK(json_read::keys(request, {"type", "grants", "credentials"}, "the request"));
  BH_TRY(const std::vector<std::string> ids, json_read::strings(request, "grants"));
  BH_TRY(const std::vector<std::string> names, json_read::strings(request, "credentials"));
  const std::string& proxys = options_->policy.upstream.credential;
  if (!proxys.empty() && std::ranges::find(names, proxys) != names.end()) {
    return fail("credential \"" + proxys +
                "\" is what the proxy asks for, behind which every grant lies; without --grant and --credential all of "
                "them are revoked, and it is forgotten");
  }
  BH_TRY(LiveGrants::Revoked revoked, live_.revoke(ids, names));
  const bool everything = ids.empty() && names.empty();
  if (everything && !proxys.empty() && !helpers_->egress.empty()) revoked.credentials.push_back(proxys);
  nlohmann::json fields = revoked_fields(revoked);
  // Not synced first: taking something away does not wait for a disk.
  BH_CHECK(recorder_->record("session.revoke", fields));
  fields["ok"] = true;
  return fields;
}

// What a policy that is loaded again has to be compared with. It changes nothing.
Result<nlohmann::json> Owner::about() const {
  return nlohmann::json{
      {"ok", true}, {"request", to_json(options_->request)}, {"settings", settings_text(options_->policy)}};
}

Result<nlohmann::json> Owner::reload(const nlohmann::json& request) {
  BH_CHECK(json_read::keys(request, {"type", "grants", "presets_sha256", "wanted", "sources"}, "the request"));
  BH_TRY(const nlohmann::json* list, json_read::array(request, "grants"));
  BH_TRY(const std::vector<std::string> digests, json_read::strings(request, "presets_sha256"));
  if (digests.size() != list->size()) return fail("`presets_sha256` is not one for each grant");
  BH_TRY(const bool wanted, json_read::boolean(request, "wanted"));
  BH_TRY(const std::vector<std::string> sources, json_read::strings(request, "sources"));
  std::vector<Grant> grants;
  for (std::size_t i = 0; i < list->size(); ++i) {
    BH_TRY(Grant grant, grant_from(list->at(i)));
    grant.preset_sha256 = digests[i];
    // As at the start: what an optional credential that is not here would open stays closed.
    const auto credential = options_->policy.credentials.find(grant.credential);
    const bool held =
        std::ranges::find(helpers_->egress_credentials, grant.credential) != helpers_->egress_credentials.end();
    if (credential != options_->policy.credentials.end() && credential->second.optional && !held) continue;
    grants.push_back(std::move(grant));
  }
  BH_TRY(grants, held_to(std::move(grants)));
  LiveGrants next = live_;
  BH_TRY(const LiveGrants::Reloaded reloaded, next.reload(grants, ports_, wanted));
  nlohmann::json fields = reloaded_fields(reloaded);
  fields["sources"] = sources;
  fields["policy"] = {{"grants", grants_event(next.held())}};
  shorten(fields);
  // What opens something is on the disk before it does.
  if (wanted && !reloaded.widened.empty()) {
    BH_CHECK(recorder_->record_and_sync("session.reload", fields));
  } else {
    BH_CHECK(recorder_->record("session.reload", fields));
  }
  live_ = std::move(next);
  fields.erase("policy");
  fields["ok"] = true;
  return fields;
}

Result<nlohmann::json> Owner::close(const nlohmann::json& request) {
  BH_CHECK(json_read::keys(request, {"type", "why"}, "the request"));
  BH_TRY(const std::string why, json_read::string(request, "why"));
  live_.close();
  BH_CHECK(recorder_->record("session.reload", {{"result", "failed"}, {"why", why.substr(0, 2000)}}));
  return nlohmann::json{{"ok", true}};
}

// Once. The file is what `ps` sees of it.
Result<nlohmann::json> Owner::claim() {
  if (!claimed_) return fail("it runs one command");
  if (is_claimed_) return fail("it is claimed already");
  BH_CHECK(sys::write_all(claimed_.get(), "1\n", claimed_name));
  is_claimed_ = true;
  BH_CHECK(recorder_->record("session.claim", nlohmann::json::object()));
  return nlohmann::json{{"ok", true}};
}

// As the administrator has it now.
Result<std::vector<Grant>> Owner::held_to(std::vector<Grant> grants) const {
  BH_TRY(const auto managed, find_managed(options_->request.place.home));
  if (managed) BH_CHECK(hold_to(*managed, grants));
  return grants;
}

Result<void> Owner::can_grant(const std::vector<Grant>& grants) const {
  BH_TRY(const std::vector<Grant> held, held_to(grants));
  return live_.can_add(held, ports_);
}

Result<std::vector<std::string>> Owner::grant(const std::vector<Grant>& grants, bool kept, const char* event,
                                              nlohmann::json fields) {
  if (busy()) return fail("the session's grants are being changed");
  LiveGrants next = live_;
  BH_TRY(std::vector<Grant> held, held_to(grants));
  BH_TRY(const std::vector<Grant> added, next.add(std::move(held), ports_, kept));
  std::vector<std::string> ids;
  for (const Grant& one : added) ids.push_back(one.id);
  fields["grants"] = ids;
  fields["policy"] = {{"grants", grants_event(next.held())}};
  shorten(fields);
  BH_CHECK(recorder_->record_and_sync(event, fields));
  live_ = std::move(next);
  BH_CHECK(apply({}));
  return ids;
}

Result<void> Owner::withdraw(const std::vector<std::string>& ids) {
  live_.drop(ids);
  return apply({});
}

Result<void> Owner::apply(nlohmann::json answer) {
  ++updates_;
  held_ = live_.held();
  auto sent = ipc::send(helpers_->front.control.get(), to_json(live_.update(updates_)));
  for (std::size_t i = 0; sent && i < helpers_->egress.size(); ++i) {
    const GrantsUpdate update = live_.update(updates_, helpers_->egress_credentials[i]);
    sent = ipc::send(helpers_->egress[i].control.get(), to_json(update));
  }
  if (!sent) return fail("the gateway could not be told which grants hold, so the session was stopped");
  applying_ = Applying{1 + helpers_->egress.size(), 0, 0, std::move(answer), Clock::now() + apply_grace};
  return {};
}

bool Owner::applied(bool front, const nlohmann::json& message) {
  if (!applying_ || message.value("number", std::uint64_t{0}) != updates_) return false;
  (front ? applying_->cut : applying_->cut_by_egress) += message.value("cut", std::uint64_t{0});
  if (--applying_->missing > 0) return true;
  applying_->answer["cut"] = std::max(applying_->cut, applying_->cut_by_egress);
  control_.answer(applying_->answer);
  applying_.reset();
  return true;
}

std::optional<Owner::Clock::time_point> Owner::deadline() const {
  if (!applying_) return std::nullopt;
  return applying_->until;
}

Result<void> Owner::check(Clock::time_point now) {
  if (!applying_ || now < applying_->until) return {};
  applying_.reset();
  return fail("the gateway did not do what it was told about the session's grants, so the session was stopped");
}

}  // namespace bulkhead::session
