#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/gateway.h"
#include "session/environment.h"
#include "session/machine.h"
#include "session/projects.h"
#include "session/publish.h"
#include "session/recorded.h"
#include "session/reviews.h"
#include "session/state/guarantees.h"
#include "session/supervisor_class.h"

namespace bulkhead::session {
namespace {

constexpr auto start_deadline = std::chrono::seconds(30), machine_start_deadline = std::chrono::seconds(180);

}  // namespace

void Supervisor::decide_asking() {
  const std::string why = policy_.ask ? why_not_asked(::getenv("TERM")) : "";
  if (why.empty()) return;
  policy_.ask = false;
  if (options_.request.flags.ask) say("--ask: " + why + "; what is not granted is denied");
}

Result<void> Supervisor::prepare() {
  decide_asking();
  BH_TRY(isolation_, tier::open_tier(policy_));
  BH_CHECK(isolation_->accepts(policy_));
  if (options_.announce && policy_.limits.output) {
    return fail(
        "limits.output: what a command of a session that lives writes goes to whoever called `bulkhead exec`, who "
        "has --max-output; leave the limit out, or use `bulkhead run`");
  }
  if (!policy_.processes) policy_.processes = isolation_->tells();
  if (!policy_.files) policy_.files = policy_.tier == Tier::vm;
  BH_TRY(files_, open_helper_files(policy_));
  std::vector<std::uint16_t> taken = room_ports();
  taken.push_back(53);
  BH_CHECK(check_inside(policy_.publish, taken));
  BH_TRY(published_, listen_for(policy_.publish));
  BH_TRY(Sources sources, Sources::make(identity_));
  char cwd[4096];
  if (::getcwd(cwd, sizeof cwd) == nullptr) return fail_errno("getcwd", "", errno);
  BH_TRY(const review::Reviews reviews, open_reviews(policy_, paths_));
  BH_TRY(logins_, start_logins(policy_, identity_, sources));
  const PlanOf of{directory_.id(), directory_.directory(),  cwd, paths_, options_.command,
                  &reviews,        std::move(logins_.files)};
  BH_TRY(planned_, make_plan(policy_, options_.request, identity_, sources, of));
  BH_CHECK(plan_template(sources));
  BH_TRY(const UniqueFd state, sys::open(paths_.state, O_PATH | O_DIRECTORY));
  BH_CHECK(disks_.watch(state.get(), paths_.state));  // evidence, reviews, copies and what is kept
  for (const auto& mount : planned_.plan.mounts) {
    if (mount.mode == MountMode::ro) continue;
    writable_.push_back(mount.target);
    BH_CHECK(disks_.watch(mount.source.get(), mount.target));
    // A review's changes are the review's to show, and a private copy goes with the session.
    if (!*policy_.files || mount.mode == MountMode::review || mount.output || mount.host.empty()) continue;
    BH_TRY(UniqueFd top, sys::duplicate(mount.source.get()));
    changing_.push_back({mount.target, std::move(top)});
  }
  BH_TRY(kept_, prepare_kept(planned_, identity_, sources, directory_));
  BH_TRY(protected_names_, protected_names(kept_, options_.request.data_dir, paths_));
  BH_TRY(reader_, CredentialReader::start(policy_, identity_));
  if (identity_.from_root) {  // it reads what root may read, and then gives that up, too
    BH_TRY(credentials_, reader_.finish(policy_, signals_.get()));
  }
  log_ = directory_.take_log();
  BH_CHECK(owner_.open(directory_.directory(), options_.announce.has_value()));
  if (policy_.ask) BH_CHECK(ask_.prepare(options_, !identity_.from_root));
  // A session that lives has nobody in front of it; until it does, stderr is for what it says itself.
  BH_TRY(Terminal terminal, options_.announce ? Terminal::open({0, 1, 1}) : Terminal::open({0, 1, 2}));
  terminal_.emplace(std::move(terminal));
  UniqueFd holder;
  if (identity_.from_root) {
    BH_TRY(holder, open_holder());
  }
  BH_CHECK(sources.drop_privileges());
  // It is to be the session's uid's.
  if (identity_.from_root) {
    BH_TRY(pending_room_, room::begin(holder.get()));
    BH_CHECK(furnish_room());
  }
  return {};
}

Result<void> Supervisor::plan_template(Sources& sources) {
  std::optional<Saved> wanted = options_.saved;
  if (wanted) {
    BH_TRY(const auto shape, isolation_->shape(planned_.plan));
    BH_CHECK(wanted->judge(shape));
  } else {
    const std::size_t notes = planned_.notes.size();
    wanted = saved_machine(paths_, *isolation_, planned_);
    if (planned_.notes.size() > notes) why_boot_ = planned_.notes.back();
  }
  if (!wanted) return {};
  tier::PlannedTemplate saved;
  saved.make = wanted->make;
  saved.digests = std::move(wanted->digests);
  saved.folder.described = "template " + wanted->name;
  saved_name_ = wanted->name;
  BH_TRY(UniqueFd folder, sources.open(wanted->image));
  if (saved.make) BH_CHECK(disks_.watch(folder.get(), wanted->image));
  BH_TRY(saved.folder.source, sources.mountable(std::move(folder), saved.folder.described));
  planned_.plan.saved = std::move(saved);
  return {};
}

std::vector<std::uint16_t> Supervisor::room_ports() const {
  std::vector<std::uint16_t> ports{80, 443, 22, proxy_port};
  for (const Grant& grant : policy_.grants) {
    const bool known = grant.port == 53 || std::find(ports.begin(), ports.end(), grant.port) != ports.end();
    if (!known) ports.push_back(grant.port);
  }
  return ports;
}

Result<void> Supervisor::start() {
  BH_TRY(room_, room::finish(std::move(pending_room_)));
  BH_CHECK(add_ca_files());
  const bool(&pty)[3] = terminal_->layout().pty;
  int stdio[3] = {pty[0] ? -1 : 0, pty[1] ? -1 : 1, options_.announce ? 1 : pty[2] ? -1 : 2};
  BH_CHECK(output_.begin(stdio, policy_.limits.output));
  sys::Pair tracing;
  if (files_.trace) {
    BH_TRY(tracing, sys::socket_pair(SOCK_SEQPACKET));
    planned_.plan.tracing = std::move(tracing.first);
  }
  BH_TRY(tier_, isolation_->start(planned_.plan, room_, stdio));
  planned_.plan.tracing.reset();
  output_.close_pipes();
  BH_CHECK(sys::set_nonblocking(tier_.messages.get(), true));
  const nlohmann::json policy = policy_event(policy_, planned_);
  planned_.plan.system.clear();
  planned_.plan.mounts.clear();
  planned_.plan.files.clear();
  planned_.plan.image.reset();
  planned_.plan.saved.reset();
  // The tier's program is busy with its mounts for a while and then waits at the CA and the gate: time for the
  // helpers to come up.
  BH_TRY(helpers_, start_helpers(files_, policy_, directory_.id(), std::move(ca_)));
  if (tracing.second) BH_CHECK(start_trace(helpers_, files_, tracing.second.get()));
  BH_CHECK(start_changes(helpers_, files_, changing_));
  changing_.clear();
  BH_CHECK(serve_kept(kept_, protected_names_, policy_.tier == Tier::vm, helpers_, files_));
  helpers_.logins = std::move(logins_.helpers);
  if (!identity_.from_root) {
    BH_TRY(credentials_, reader_.finish(policy_, signals_.get()));
  }
  add_logins(credentials_, logins_);
  drop_idle_egress(helpers_, policy_);
  BH_CHECK(configure_egress(helpers_, directory_.id(), policy_, files_, credentials_));
  files_ = HelperFiles();
  BH_CHECK(configure_front(helpers_, directory_.id(), policy_, room_, credentials_));
  BH_CHECK(configure_relay(helpers_, policy_, room_, std::move(published_), isolation_->own_kernel()));
  published_.clear();
  room_.sockets.clear();
  BH_CHECK(configure_evidence(helpers_, directory_.id(), std::move(log_)));
  recorder_.emplace(std::move(helpers_.supervisor_evidence));
  BH_CHECK(record_start(policy));
  BH_CHECK(send_setup());
  deadline_ = Clock::now() + (policy_.tier == Tier::vm ? machine_start_deadline : start_deadline);
  return {};
}

Result<void> Supervisor::record_start(const nlohmann::json& policy) {
  for (const Missing& missing : start_line_missing(policy_.tier)) missing_.push_back(missing.what);
  for (const std::string& what : isolation_->lacks()) missing_.push_back(what);
  for (const Missing& missing : missing_by_policy(policy_)) missing_.push_back(missing.what);
  BH_CHECK(recorder_->record("session.policy", policy));
  for (const Untrusted& project : planned_.projects.untrusted) {
    if (project.verdict.trusted() && !project.hidden) continue;
    BH_CHECK(recorder_->record("trust.untrusted", untrusted_event(project)));
  }
  for (const review::Review& review : planned_.reviews) {
    BH_CHECK(recorder_->record("review.open", {{"review", review.info().id}, {"folder", review.info().folder}}));
  }
  for (const TokenSlot& token : credentials_.tokens) {
    const Credential& credential = policy_.credentials.at(token.credential);
    if (token.issued && !credential.login) continue;  // egress records what servers hand out
    BH_CHECK(recorder_->record("credential.release", {{"credential", token.credential},
                                                      {"read_from", source_name(credential)},
                                                      {"to", "egress:" + token.credential}}));
  }
  if (const std::string& name = policy_.upstream.credential; !name.empty() && !helpers_.egress.empty()) {
    BH_CHECK(recorder_->record(
        "credential.release",
        {{"credential", name}, {"read_from", source_name(policy_.credentials.at(name))}, {"to", "proxy"}}));
  }
  // On the disk before an egress is handed any secret, and before the workload runs.
  BH_CHECK(recorder_->begin_sync("session.start", start_event(options_, planned_.workspace, identity_.uid, missing_)));
  waiting_for_evidence_ = true;
  return {};
}

std::vector<std::string> Supervisor::own_folders() const {
  std::vector<std::string> folders = planned_.plan.tmpfs;
  folders.emplace_back("/dev/shm");
  std::erase_if(folders, [&](const std::string& path) {
    return std::any_of(planned_.plan.mounts.begin(), planned_.plan.mounts.end(),
                       [&](const auto& mount) { return mount.target == path; });
  });
  return folders;
}

Result<void> Supervisor::add_ca_files() {
  const auto late = [&](const char* target, UniqueFd& writer) -> Result<void> {
    BH_TRY(sys::Pair pipe, sys::pipe());
    planned_.plan.files.push_back({target, "", std::move(pipe.first)});
    writer = std::move(pipe.second);
    return {};
  };
  BH_CHECK(late(ca_bundle_path, ca_.pem));
  planned_.plan.links.push_back({"/etc/ssl/cert.pem", "certs/ca-certificates.crt"});
  return late("/etc/ssl/certs/java/cacerts", ca_.java);
}

shim::Setup Supervisor::make_setup() {
  shim::Setup setup;
  setup.arguments = options_.command;
  setup.hold = options_.announce.has_value();
  for (const auto& [name, value] : make_environment(policy_, identity_, credentials_.tokens, planned_.visible,
                                                    planned_.image ? &planned_.image->environment : nullptr)) {
    setup.environment.push_back(name + "=" + value);
  }
  setup.directory = planned_.directory;
  setup.environment.push_back("PWD=" + setup.directory);
  for (int i = 0; i < 3; ++i) setup.pty[i] = terminal_->layout().pty[i];
  setup.window = terminal_->window();
  setup.limits = process_limits(policy_.limits);
  setup.uid = identity_.uid;
  setup.gid = identity_.gid;
  setup.mask = ::umask(0);
  ::umask(setup.mask);
  setup.own_kernel = isolation_->own_kernel();
  setup.set_group = planned_.plan.set_group;
  if (setup.own_kernel) {
    setup.plain_pty = terminal_->plain_pty();
    setup.folders = planned_.plan.folders;
    for (const tier::PlannedLink& link : planned_.plan.links) setup.links.push_back({link.target, link.to});
  }
  setup.rules = {{"/", shim::Access::run}, {"/dev", shim::Access::write}, {"/proc", shim::Access::write}};
  for (const std::string& path : planned_.plan.tmpfs) setup.rules.push_back({path, shim::Access::full});
  setup.rules.push_back({"/dev/shm", shim::Access::full});
  setup.own = own_folders();
  for (const std::string& path : writable_) setup.rules.push_back({path, shim::Access::full});
  return setup;
}

Result<void> Supervisor::send_setup() {
  setup_ = make_setup();
  BH_TRY(const std::vector<std::string> datagrams, shim::encode(setup_));
  for (const std::string& datagram : datagrams) {
    // A tier whose program died has no reader; its own end, seen in the loop, says why.
    if (auto sent = ipc::send(tier_.control.get(), std::string_view(datagram)); !sent && sent.error().code != EPIPE) {
      return sent;
    }
  }
  return {};
}

void Supervisor::maybe_open_gate() {
  if (gate_open_ || !shim_ready_ || !front_ready_ || waiting_for_evidence_ || !failure_.empty() || !others_ready()) {
    return;
  }
  gate_open_ = true;
  deadline_.reset();
  say(start_line(policy_, planned_, missing_));
  for (const std::string& line : planned_.notes) say(line);
  on_tier_message(0);
  const std::vector<std::string> notes = take_notes(tier_messages_);
  const bool is_made = options_.saved && options_.saved->make;  // somebody waits for what is made of it
  for (const std::string& line : notes) is_made ? tell(line) : say(line);
  if (policy_.tier == Tier::vm) record_machine(notes);
  for (const std::string& line : lines_about(planned_.projects)) say(line);
  if (!planned_.keys.empty()) say(planned_.keys);
  for (const std::string& line : publish_warnings(policy_.publish)) say(line);
  for (const std::string& line : credentials_.closed) say(line + " (its grants stay closed)");
  for (const std::string& line : credentials_.notes) say(line);
  // Before the workload's first word: a terminal in its own settings would double its line ends.
  if (auto done = terminal_->start(); !done) return stop(done.error().message);
  tell_shim(shim::Go{});
  owner_.begin(options_, policy_.grants, helpers_, *recorder_, commands_);
  if (policy_.ask) ask_.begin(options_, *terminal_, owner_, *recorder_, helpers_.front.control.get());
}

void Supervisor::record_machine(const std::vector<std::string>& notes) {
  nlohmann::json event{{"began", take_went_on(tier_messages_) ? "saved" : "boot"}};
  if (!saved_name_.empty()) event["saved"] = saved_name_;
  for (const std::string& line : notes) why_boot_ += (why_boot_.empty() ? "" : "; ") + line;
  if (!why_boot_.empty()) event["why"] = why_boot_;
  if (auto done = recorder_->record("session.machine", event); !done) stop(done.error().message);
}

}  // namespace bulkhead::session
